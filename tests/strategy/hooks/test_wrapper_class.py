"""The class that wrapping makes: it looks, copies and compares as the user's own."""

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field

import pytest
from federation.unusual_strategies import (
    FrozenDataclass,
    LooksAtItsType,
    SlotsAlone,
    SlottedDataclass,
    WithKeyword,
)
from flwr.serverapp.strategy import FedAvg

from flwr_registry import RegistryStrategy
from flwr_registry.errors import StrategyError


@dataclass
class Configured(FedAvg):
    """A dataclass with a dictionary."""

    rate: float = 0.1
    rounds: list[int] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()


def test_it_is_named_and_documented_as_the_strategy_s_class():
    made = type(RegistryStrategy(LooksAtItsType()))
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(made, name) == getattr(LooksAtItsType, name)


def test_it_compares_as_the_strategy_s_class():
    wrapped = RegistryStrategy(LooksAtItsType())
    assert wrapped.__class__ is LooksAtItsType
    assert type(wrapped) == LooksAtItsType  # noqa: E721
    assert LooksAtItsType == type(wrapped)  # noqa: E721
    assert type(wrapped) != FedAvg  # noqa: E721
    assert LooksAtItsType.known[type(wrapped)] == "LooksAtItsType"
    assert isinstance(wrapped, RegistryStrategy)
    assert not isinstance(LooksAtItsType(), RegistryStrategy)
    assert issubclass(type(wrapped), LooksAtItsType)


def test_slots_are_shared_both_ways():
    strategy = SlotsAlone()
    wrapped = RegistryStrategy(strategy)
    wrapped.momentum = {"a": 1}
    assert strategy.momentum is wrapped.momentum
    strategy.rounds = [9]
    assert wrapped.rounds == [9]
    assert wrapped.count(10) == strategy.count(11) - 1
    object.__setattr__(wrapped, "momentum", {"b": 2})
    assert strategy.momentum == {"b": 2}
    del wrapped.momentum
    assert not hasattr(strategy, "momentum")


def test_dataclasses_are_dataclasses():
    wrapped = RegistryStrategy(FrozenDataclass(total=3))
    bare = dataclasses.replace(wrapped, total=4)
    assert type(bare) is FrozenDataclass
    assert (bare.total, wrapped.total) == (4, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        wrapped.total = 5
    configured = RegistryStrategy(Configured(rate=0.5))
    assert repr(configured) == repr(Configured(rate=0.5))
    assert dataclasses.asdict(configured) == {"rate": 0.5, "rounds": []}
    assert configured == Configured(rate=0.5)
    assert vars(configured)["rate"] == 0.5


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
@pytest.mark.parametrize("kind", [SlotsAlone, SlottedDataclass, WithKeyword])
def test_copies_have_slots_of_their_own(duplicate, kind, database):
    wrapped = RegistryStrategy(kind(), registry=database, model="digits")
    other = duplicate(wrapped)
    assert isinstance(other, RegistryStrategy)
    assert other.__class__ is kind
    name = next(iter(vars(kind).get("__slots__", ("extra",))))
    name = name if name != "__calls" else "momentum"
    setattr(other, name, {"only": "there"})
    assert getattr(wrapped, name, None) != {"only": "there"}


class Resets(FedAvg):
    """Calls its constructor to start afresh, and makes others of its kind."""

    def __init__(self, rate=0.1):
        super().__init__()
        self.rate = rate

    def reset(self):
        self.__init__(self.rate)

    def twin(self):
        return type(self)(self.rate), self.__class__(self.rate)


def test_a_strategy_may_call_its_own_constructor():
    wrapped = RegistryStrategy(Resets(0.3))
    wrapped.fraction_train = 0.0
    wrapped.reset()
    assert (wrapped.rate, wrapped.fraction_train) == (0.3, 1.0)
    for twin in wrapped.twin():
        assert type(twin) is Resets
        assert twin.rate == 0.3


def test_what_is_set_on_the_type_is_set_on_the_strategy_s_class():
    class Counts(FedAvg):
        count = 0

    wrapped = RegistryStrategy(Counts())
    type(wrapped).count += 1
    wrapped.__class__.count += 1
    assert (Counts.count, wrapped.count) == (2, 2)


class Finalized(FedAvg):
    """Allows no class to derive from it."""

    def __init_subclass__(cls, **_):
        raise TypeError("final")


class OneObject(type(FedAvg)):
    """Makes one object of a class, whoever asks."""

    made: dict = {}  # noqa: RUF012

    def __call__(cls, *args, **kwargs):
        if cls not in cls.made:
            cls.made[cls] = super().__call__(*args, **kwargs)
        return cls.made[cls]


class Single(FedAvg, metaclass=OneObject):
    """There is one."""


class TakesArguments(FedAvg):
    """Its `__new__` takes what its constructor takes."""

    def __new__(cls, rate):
        made = super().__new__(cls)
        made.rate = rate
        return made

    def __init__(self, rate):
        super().__init__()


@pytest.mark.parametrize(
    "strategy",
    [Finalized(), Single(), TakesArguments(2.0)],
    ids=["Finalized", "Single", "TakesArguments"],
)
def test_classes_that_guard_how_they_are_made(strategy):
    wrapped = RegistryStrategy(strategy)
    assert isinstance(wrapped, type(strategy))
    wrapped.set_on_wrapper = 1
    assert strategy.set_on_wrapper == 1


def test_what_a_strategy_closes_is_closed_with_it():
    closed = []

    class Closes(FedAvg):
        def __del__(self):
            closed.append(True)

    strategy = Closes()
    wrapped = RegistryStrategy(strategy)
    type(wrapped).__del__(wrapped)
    assert not closed


class Listed(list):
    """Has the hooks of a strategy, and is a list."""

    def configure_fit(self):
        """Do nothing."""

    aggregate_fit = configure_fit


def test_contents_that_cannot_be_shared_are_refused():
    with pytest.raises(StrategyError, match="hold it as an attribute"):
        RegistryStrategy(Listed())
