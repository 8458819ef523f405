"""Going back to the state that a strategy had before a rejected aggregate."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from flwr_registry.strategy.attributes import (
    attributes_of,
    delete_attribute,
    set_attribute,
)
from flwr_registry.strategy.strategy_state import (
    has_state_dict,
    is_strategy,
    may_change,
    rebinds_arrays,
)

__all__ = ["StateSnapshot"]


class StateSnapshot:
    """The state of a strategy, and of those it wraps, at one moment.

    Containers and nested strategies get their contents back in place, so whoever else
    holds them sees it. Arrays are copied where they could be changed in place; Flower's
    own strategies only ever bind new ones, so their large arrays are kept by reference
    and cost nothing.

    A privacy accountant is left alone: what was spent on a rejected model stays spent.

    Parameters
    ----------
    strategy : object
        The strategy, wrapped or not.
    """

    def __init__(self, strategy: Any) -> None:
        self._undo: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}
        self._visit_strategy(strategy)

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undo:
            undo()

    def _visit_strategy(self, strategy: Any) -> None:
        self._seen[id(strategy)] = strategy
        saved = attributes_of(strategy)
        self._undo.append(lambda: _put_attributes(strategy, saved))
        rebinds = rebinds_arrays(strategy)
        for value in saved.values():
            self._visit(value, rebinds=rebinds)

    def _visit(self, value: Any, *, rebinds: bool) -> None:
        if id(value) in self._seen:
            return
        if is_strategy(value):
            self._visit_strategy(value)
            return
        undo = _undo_for(value, rebinds=rebinds)
        if undo is None:
            return
        self._seen[id(value)] = value
        self._undo.append(undo)
        for item in _items_of(value):
            self._visit(item, rebinds=rebinds)


def _undo_for(value: Any, *, rebinds: bool) -> Callable[[], None] | None:
    """How to bring a mutable value back; None when it cannot or need not change."""
    match value:
        case tuple():
            return lambda: None
        case dict() | list() | set() | bytearray() | deque():
            contents = value.copy()
            return lambda: _refill(value, contents)
        case np.ndarray():
            if value.dtype.hasobject or not may_change(value, rebinds=rebinds):
                return None
            return _undo_array(value)
        case random.Random():
            state = value.getstate()
            return lambda: value.setstate(state)
        case np.random.Generator():
            bits = value.bit_generator.state
            return lambda: setattr(value.bit_generator, "state", bits)
        case _ if has_state_dict(value) and not hasattr(value, "compose"):
            return _undo_state_dict(value)
        case _:
            return None


def _undo_array(array: np.ndarray[Any, Any]) -> Callable[[], None]:
    saved = array.copy()

    def undo() -> None:
        array[...] = saved

    return undo


def _undo_state_dict(value: Any) -> Callable[[], None]:
    saved = deepcopy(value.state_dict())
    return lambda: value.load_state_dict(saved)


def _put_attributes(owner: Any, saved: dict[str, Any]) -> None:
    for name in attributes_of(owner).keys() - saved.keys():
        delete_attribute(owner, name)
    for name, value in saved.items():
        set_attribute(owner, name, value)


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    if isinstance(container, dict | set):
        container.update(contents)
    else:
        container.extend(contents)


def _items_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | deque):
        yield from value
