"""What a strategy carries from round to round, out as plain data and in again.

Out come a tree that JSON can hold and named arrays; never a pickle. In a tree, numbers,
text, truth values, None and lists stand for themselves; everything else is an object
with one key that starts with ``$``.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import Parameters
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy as MessageStrategy
from numpy.typing import NDArray

from flwr_registry.errors import CheckpointError

__all__ = [
    "StrategyState",
    "export_state",
    "has_state_dict",
    "import_state",
    "is_strategy",
    "settings_of",
]


@dataclass(frozen=True, slots=True)
class StrategyState:
    """The state of a strategy as plain data.

    Attributes
    ----------
    tree : object
        What JSON can hold; arrays are named in it.
    arrays : mapping of str to numpy.ndarray
        Views where the strategy holds bytes, its own arrays otherwise.
    left_out : tuple of str
        Attributes that no checkpoint can hold, as dotted paths.
    """

    tree: Any
    arrays: Mapping[str, NDArray[Any]]
    left_out: tuple[str, ...] = ()


def is_strategy(value: Any) -> bool:
    """Whether a value is a strategy of either of Flower's APIs."""
    return isinstance(value, MessageStrategy | LegacyStrategy)


def has_state_dict(value: Any) -> bool:
    """Whether a value offers its state as Flower's privacy accountant does."""
    return (
        not isinstance(value, type)
        and callable(getattr(value, "state_dict", None))
        and callable(getattr(value, "load_state_dict", None))
    )


def settings_of(strategy: Any, path: str = "") -> dict[str, Any]:
    """Return numbers, text and None of a strategy and of those it wraps, by path."""
    settings: dict[str, Any] = {}
    for name, value in vars(strategy).items():
        if is_strategy(value):
            settings |= settings_of(value, f"{path}{name}.")
        elif value is None or type(value) in (bool, int, float, str):
            settings[f"{path}{name}"] = value
    return settings


def export_state(
    strategy: Any, *, settings: Mapping[str, Any] | None = None
) -> StrategyState:
    """Take the state out of a strategy and of those it wraps.

    Functions are the user's configuration and silently left to the constructor.

    Parameters
    ----------
    settings : mapping, optional
        What `settings_of` gave before training. Attributes that still are what they
        were then are left to the constructor too, so that a resumed run may have other
        settings.
    """
    exporter = _Exporter(settings or {})
    tree = exporter.attributes(strategy, path="")
    return StrategyState(tree, exporter.arrays, tuple(exporter.left_out))


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


class _NoPlainForm(Exception):
    """A value that only pickle could store."""


_NOTHING = object()


@dataclass(slots=True)
class _Exporter:
    settings: Mapping[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)

    def attributes(self, owner: Any, path: str) -> dict[str, Any]:
        tree = {}
        for name, value in vars(owner).items():
            if callable(value) and not has_state_dict(value):
                continue
            if self._is_setting(f"{path}{name}", value):
                continue
            try:
                tree[name] = self.value(value, f"{path}{name}")
            except _NoPlainForm:
                self.left_out.append(f"{path}{name}")
        return tree

    def _is_setting(self, path: str, value: Any) -> bool:
        before = self.settings.get(path, _NOTHING)
        return type(before) is type(value) and before == value

    def value(self, value: Any, path: str) -> Any:
        match value:
            case np.generic():
                return {"$scalar": self._array(np.asarray(value), value)}
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"$float": repr(value)}
            case bytes():
                return {"$bytes": self._array(np.frombuffer(value, np.uint8), value)}
            case np.ndarray() if not (value.dtype.hasobject or value.dtype.names):
                return {"$array": self._array(value, value)}
            case _:
                return self._compound(value, path)

    def _compound(self, value: Any, path: str) -> Any:
        tag = _SEQUENCES.get(type(value))
        if tag is not None:
            items = [self.value(item, f"{path}[]") for item in value]
            return {tag: items} if tag else items
        match value:
            case dict():
                return {"$dict": self._pairs(value, path)}
            case ArrayRecord():
                return {"$ArrayRecord": self._pairs(value, path)}
            case MetricRecord():
                return {"$MetricRecord": self._pairs(value, path)}
            case ConfigRecord():
                return {"$ConfigRecord": self._pairs(value, path)}
            case Array():
                fields = (value.dtype, list(value.shape), value.stype)
                return {"$Array": [*fields, self.value(value.data, path)]}
            case Parameters():
                tensors = [self.value(tensor, path) for tensor in value.tensors]
                return {"$Parameters": [tensors, value.tensor_type]}
            case _:
                return self._stateful(value, path)

    def _stateful(self, value: Any, path: str) -> Any:
        if is_strategy(value):
            return {"$strategy": self.attributes(value, f"{path}.")}
        if isinstance(value, random.Random):
            return {"$random": self.value(value.getstate(), path)}
        if isinstance(value, np.random.Generator):
            return {"$generator": self.value(value.bit_generator.state, path)}
        if has_state_dict(value):
            return {"$state_dict": self.value(dict(value.state_dict()), path)}
        raise _NoPlainForm(f"{path} holds a {type(value).__name__}")

    def _pairs(self, mapping: Mapping[Any, Any], path: str) -> list[Any]:
        return [
            [self.value(key, path), self.value(item, f"{path}.{key}")]
            for key, item in mapping.items()
        ]

    def _array(self, array: NDArray[Any], owner: object) -> str:
        name = self._names.get(id(owner))
        if name is None:
            name = self._names[id(owner)] = f"a{len(self.arrays)}"
            self.arrays[name] = array
        return name


_SEQUENCES: dict[type, str] = {
    list: "",
    tuple: "$tuple",
    set: "$set",
    frozenset: "$frozenset",
    deque: "$deque",
    bytearray: "$bytearray",
}


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
        for kind, tag in _SEQUENCES.items():
            self._readers[tag] = partial(self._sequence, kind)

    def attributes(self, owner: Any, tree: Mapping[str, Any]) -> None:
        attributes = vars(owner)
        for name, saved in tree.items():
            if not self._load_into(attributes.get(name), saved):
                attributes[name] = self.value(saved)

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
