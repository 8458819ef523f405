"""Going back to the state that a strategy had before a rejected aggregate."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from flwr_registry.strategy.strategy_state import has_state_dict, is_strategy

__all__ = ["StateSnapshot"]

_SMALL_BYTES = 1024 * 1024


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
        attributes = vars(strategy)
        saved = dict(attributes)
        self._undo.append(lambda: _refill(attributes, saved))
        owned = type(strategy).__module__.split(".")[0] == "flwr"
        for value in saved.values():
            self._visit(value, rebinds_arrays=owned)

    def _visit(self, value: Any, *, rebinds_arrays: bool) -> None:
        if id(value) in self._seen:
            return
        if is_strategy(value):
            self._visit_strategy(value)
            return
        undo = _undo_for(value, rebinds_arrays=rebinds_arrays)
        if undo is None:
            return
        self._seen[id(value)] = value
        self._undo.append(undo)
        for item in _items_of(value):
            self._visit(item, rebinds_arrays=rebinds_arrays)


def _undo_for(value: Any, *, rebinds_arrays: bool) -> Callable[[], None] | None:
    """How to bring a mutable value back; None when it cannot or need not change."""
    match value:
        case tuple():
            return lambda: None
        case dict() | list() | set() | bytearray() | deque():
            contents = value.copy()
            return lambda: _refill(value, contents)
        case np.ndarray():
            if value.dtype.hasobject or (
                rebinds_arrays and value.nbytes > _SMALL_BYTES
            ):
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


def _undo_array(array: np.ndarray[Any, Any]) -> Callable[[], None] | None:
    if not array.flags.writeable:
        return None
    saved = array.copy()

    def undo() -> None:
        array[...] = saved

    return undo


def _undo_state_dict(value: Any) -> Callable[[], None]:
    saved = deepcopy(value.state_dict())
    return lambda: value.load_state_dict(saved)


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
