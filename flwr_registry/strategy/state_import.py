"""Putting a state back into a strategy."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import Parameters
from numpy.typing import NDArray

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.attributes import attributes_of, set_attribute
from flwr_registry.strategy.strategy_state import (
    SEQUENCE_TAGS,
    StrategyState,
    has_state_dict,
    is_strategy,
)

__all__ = ["import_state"]


def import_state(strategy: Any, state: StrategyState) -> None:
    """Put a state back into a strategy that was built as the one it came from.

    Parameters
    ----------
    state : StrategyState
        Its arrays are copied and, where they are a dictionary, taken out of it.

    Raises
    ------
    CheckpointError
        When the state does not fit the strategy.
    """
    arrays = state.arrays if isinstance(state.arrays, dict) else dict(state.arrays)
    _Importer(arrays).attributes(strategy, state.tree)


class _Importer:
    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._made_bytes: dict[str, bytes] = {}
        self._made_arrays: dict[str, NDArray[Any]] = {}
        self._readers: dict[str, Callable[[Any], Any]] = {
            "$scalar": lambda name: self._array(name)[()],
            "$float": float,
            "$bytes": self._bytes,
            "$array": self._own_array,
            "$dict": lambda pairs: dict(self._pairs(pairs)),
            "$ArrayRecord": lambda pairs: ArrayRecord(dict(self._pairs(pairs))),
            "$MetricRecord": lambda pairs: MetricRecord(dict(self._pairs(pairs))),
            "$ConfigRecord": lambda pairs: ConfigRecord(dict(self._pairs(pairs))),
            "$Array": self._flower_array,
            "$Parameters": lambda parts: Parameters(self.value(parts[0]), parts[1]),
        }
        for kind, tag in SEQUENCE_TAGS.items():
            self._readers[tag] = partial(self._sequence, kind)

    def attributes(self, owner: Any, tree: Mapping[str, Any]) -> None:
        attributes = attributes_of(owner)
        for name, saved in tree.items():
            if not self._load_into(attributes.get(name), saved):
                set_attribute(owner, name, self.value(saved))

    def _load_into(self, present: Any, saved: Any) -> bool:
        """Give a state to the object that is there, where only that can take it."""
        match saved:
            case {"$strategy": state} if is_strategy(present):
                self.attributes(present, state)
            case {"$random": state} if isinstance(present, random.Random):
                present.setstate(self.value(state))
            case {"$generator": state} if isinstance(present, np.random.Generator):
                present.bit_generator.state = self.value(state)
            case {"$state_dict": state} if has_state_dict(present):
                present.load_state_dict(self.value(state))
            case _:
                return False
        return True

    def value(self, saved: Any) -> Any:
        if isinstance(saved, list):
            return [self.value(item) for item in saved]
        if not isinstance(saved, dict):
            return saved
        ((tag, content),) = saved.items()
        if tag not in self._readers:
            raise CheckpointError(
                f"the checkpoint holds the state of an object ({tag[1:]}) that this "
                "strategy does not have: build the strategy as it was built before"
            )
        return self._readers[tag](content)

    def _pairs(self, pairs: list[Any]) -> list[tuple[Any, Any]]:
        return [(self.value(key), self.value(item)) for key, item in pairs]

    def _sequence(self, kind: type, items: list[Any]) -> Any:
        return kind(map(self.value, items))

    def _bytes(self, name: str) -> bytes:
        if name not in self._made_bytes:
            self._made_bytes[name] = self._taken(name).tobytes()
        return self._made_bytes[name]

    def _own_array(self, name: str) -> NDArray[Any]:
        if name not in self._made_arrays:
            self._made_arrays[name] = self._taken(name).copy(order="K")
        return self._made_arrays[name]

    def _taken(self, name: str) -> NDArray[Any]:
        """Let go of an array once it is copied: no two of them are held at once."""
        array = self._array(name)
        del self._arrays[name]
        return array

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            raise CheckpointError(f"the checkpoint's state lacks the array {name!r}")
        return self._arrays[name]

    def _flower_array(self, parts: list[Any]) -> Array:
        dtype, shape, stype, data = parts
        return Array(dtype, tuple(shape), stype, self.value(data))
