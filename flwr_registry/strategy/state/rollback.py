"""Going back to the state that a strategy had before a rejected aggregate."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from typing import Any

import numpy as np

from flwr_registry.strategy.round_log import log_partial_rollback
from flwr_registry.strategy.state.attributes import (
    attributes_of,
    class_attributes_of,
    delete_attribute,
    set_attribute,
    users_classes_of,
)
from flwr_registry.strategy.state.containers import (
    contents_of,
    is_container,
    items_of,
    refill,
)
from flwr_registry.strategy.state.plain_state import (
    has_state_dict,
    is_accountant,
    is_strategy,
    may_change,
    rebinds_arrays,
)
from flwr_registry.strategy.state.stateless import is_flowers_own, is_live, is_stateless
from flwr_registry.strategy.state.torch_forms import (
    is_script,
    is_tensor,
    is_torch_generator,
    undo_for_generator,
    undo_for_tensor,
)
from flwr_registry.strategy.tolerance import LOGGER

__all__ = ["StateSnapshot"]

Undo = Callable[[], None]

_ATOMS = (bool, int, float, complex, str, bytes, type(None))
_MAX_VISITS = 100_000
_MAX_BYTES = 4 * 1024**3


class StateSnapshot:
    """The state of a strategy, and of all that it holds, at one moment.

    Whatever can change gets its contents back in place, so whoever else holds it sees
    that: containers, arrays, tensors, generators, records, the attributes of objects
    and those of the strategy's own classes. Arrays are copied where they could be
    changed in place; Flower's own strategies only ever bind new ones, so their large
    arrays are kept by reference and cost nothing.

    Left alone are code, what Flower runs with, what holds a handle to the world such as
    a connection, and a privacy accountant: what was spent on a rejected model stays
    spent.

    Parameters
    ----------
    strategy : object
        The strategy, wrapped or not.

    Attributes
    ----------
    is_cut : bool
        There is more than can be remembered in each round; the rest stays changed.
    """

    def __init__(self, strategy: Any) -> None:
        self.is_cut = False
        self._undo: list[Undo] = []
        self._seen: dict[int, Any] = {}
        self._bytes = 0
        self._packages = _packages_of(strategy)
        self._waiting: list[tuple[Any, bool]] = [(strategy, False)]
        while self._waiting:
            self._visit(*self._waiting.pop())

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undo:
            try:
                undo()
            except Exception as error:  # the others can still be undone  # noqa: BLE001
                self.is_cut = True
                LOGGER.debug("registry: %s", error)
        if self.is_cut:
            log_partial_rollback()

    def _visit(self, value: Any, rebinds: bool) -> None:
        if type(value) in _ATOMS or id(value) in self._seen or is_stateless(value):
            return
        if len(self._seen) >= _MAX_VISITS:
            self.is_cut = True
            return
        self._seen[id(value)] = value
        if is_strategy(value):
            rebinds = rebinds_arrays(value)
            self._remember_classes(value, rebinds)
        elif is_accountant(value) or isinstance(value, Enum):
            return
        undo = self._undo_of(value, rebinds)
        if undo is not None:
            self._undo.append(undo)
        self._wait_for(items_of(value), rebinds)
        if self._may_be_set_back(value):
            self._remember_attributes(value, attributes_of(value), rebinds)

    def _wait_for(self, values: Any, rebinds: bool) -> None:
        self._waiting.extend(
            (each, rebinds) for each in values if type(each) not in _ATOMS
        )

    def _remember_attributes(
        self, owner: Any, saved: dict[str, Any], rebinds: bool
    ) -> None:
        self._undo.append(lambda: _put_attributes(owner, saved))
        self._wait_for(saved.values(), rebinds)

    def _remember_classes(self, strategy: Any, rebinds: bool) -> None:
        for kind in users_classes_of(strategy):
            self._remember_attributes(kind, class_attributes_of(kind), rebinds)

    def _may_be_set_back(self, value: Any) -> bool:
        """Whether an object's attributes are its own affair and no one else's."""
        kind = type(value)
        package = kind.__module__.partition(".")[0]
        if not attributes_of(value) or is_tensor(value):
            return False
        if is_flowers_own(kind) or package in self._packages or package == "torch":
            return True
        return not is_live(value)

    def _undo_of(self, value: Any, rebinds: bool) -> Undo | None:
        """How to bring back what lies in a value itself."""
        if is_container(value):
            return None if isinstance(value, tuple | frozenset) else _undo_items(value)
        if isinstance(value, np.ndarray):
            return self._undo_array(value, rebinds)
        if is_tensor(value):
            if not self._has_room(value.numel() * value.element_size()):
                return None
            self._wait_for((value.grad,) if value.is_leaf else (), rebinds)
            return undo_for_tensor(value)
        if is_torch_generator(value):
            return undo_for_generator(value)
        has_hidden_state = not attributes_of(value) or is_script(value)
        if has_state_dict(value) and has_hidden_state and not is_strategy(value):
            return _undo_state_dict(value)
        return _undo_random(value)

    def _undo_array(self, array: np.ndarray[Any, Any], rebinds: bool) -> Undo | None:
        if not may_change(array, rebinds=rebinds) or not self._has_room(array.nbytes):
            return None
        saved = array.copy()

        def undo() -> None:
            if array.shape == saved.shape and array.flags.writeable:
                array[...] = saved

        return undo

    def _has_room(self, size_bytes: int) -> bool:
        if self._bytes + size_bytes > _MAX_BYTES:
            self.is_cut = True
            return False
        self._bytes += size_bytes
        return True


def _packages_of(strategy: Any) -> set[str]:
    """Return the packages of the user's own code."""
    return {each.__module__.partition(".")[0] for each in users_classes_of(strategy)}


def _put_attributes(owner: Any, saved: dict[str, Any]) -> None:
    read = class_attributes_of if isinstance(owner, type) else attributes_of
    present = read(owner)
    for name in present.keys() - saved.keys():
        delete_attribute(owner, name)
    for name, value in saved.items():
        if name not in present or present[name] is not value:
            set_attribute(owner, name, value)


def _undo_items(container: Any) -> Undo:
    saved = contents_of(container)

    def undo() -> None:
        if not _holds(container, saved):
            refill(container, saved)

    return undo


def _holds(container: Any, saved: list[Any]) -> bool:
    """Whether a container still holds the very objects that it held."""
    present = contents_of(container)
    if len(present) != len(saved):
        return False
    if isinstance(container, dict):
        return all(
            key is other and item is another
            for (key, item), (other, another) in zip(present, saved, strict=True)
        )
    return all(item is other for item, other in zip(present, saved, strict=True))


def _undo_random(value: Any) -> Undo | None:
    match value:
        case random.Random():
            try:
                drawn = value.getstate()
            except NotImplementedError:
                return None
            return lambda: value.setstate(drawn)
        case np.random.Generator():
            bits = value.bit_generator.state
            return lambda: setattr(value.bit_generator, "state", bits)
        case np.random.BitGenerator():
            state = value.state
            return lambda: setattr(value, "state", state)
        case np.random.RandomState():
            legacy: Any = value.get_state(legacy=False)
            return lambda: value.set_state(legacy)
    return None


def _undo_state_dict(value: Any) -> Undo:
    saved = deepcopy(value.state_dict())
    return lambda: value.load_state_dict(saved)
