"""Attributes of objects with a dictionary, with slots, and with both."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from flwr.serverapp.strategy import FedAvg

from flwr_registry.strategy.state.attributes import (
    attributes_of,
    class_attributes_of,
    delete_attribute,
    set_attribute,
    users_classes_of,
)


class Plain:
    def __init__(self):
        self.rounds = 1


class Slots:
    __slots__ = ("__hidden", "rounds", "unset")

    def __init__(self):
        self.rounds, self.__hidden = 1, 2


class Both(Slots):
    def __init__(self):
        super().__init__()
        self.more = 3


class OneSlot:
    __slots__ = "rounds"

    def __init__(self):
        self.rounds = 1


@dataclass(frozen=True, slots=True)
class Frozen:
    rounds: int = 1


class Guarded:
    """Code that nothing but the user may run."""

    def __init__(self):
        vars(self)["rounds"] = 1

    def __getattr__(self, name):
        raise AssertionError(name)

    def __setattr__(self, name, value):
        raise AssertionError(name)

    def __delattr__(self, name):
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (Plain, {}),
        (Slots, {"_Slots__hidden": 2}),
        (Both, {"_Slots__hidden": 2, "more": 3}),
        (OneSlot, {}),
        (Frozen, {}),
        (Guarded, {}),
    ],
)
def test_attributes_are_read_set_and_deleted(make, others):
    owner = make()
    assert attributes_of(owner) == {"rounds": 1, **others}
    set_attribute(owner, "rounds", 5)
    assert attributes_of(owner) == {"rounds": 5, **others}
    delete_attribute(owner, "rounds")
    assert attributes_of(owner) == others


@pytest.mark.parametrize("value", [1, "text", [1], object(), len])
def test_what_has_no_attributes_has_none(value):
    assert attributes_of(value) == {}


class Counting(FedAvg):
    rounds = 0
    seen: ClassVar = []

    @property
    def size(self):
        return 1

    @staticmethod
    def free():
        return 1


def test_state_on_a_class_is_found_and_methods_are_not():
    assert users_classes_of(Counting()) == {Counting: Counting}
    assert class_attributes_of(Counting) == {"rounds": 0, "seen": []}
    set_attribute(Counting, "late", 1)
    assert class_attributes_of(Counting)["late"] == 1
    delete_attribute(Counting, "late")
    assert "late" not in class_attributes_of(Counting)


def test_classes_of_flower_hold_no_state_of_the_users():
    assert users_classes_of(FedAvg()) == {}
