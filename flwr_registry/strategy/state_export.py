"""Taking the state out of a strategy."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import Parameters
from numpy.typing import NDArray

from flwr_registry.strategy.attributes import attributes_of
from flwr_registry.strategy.strategy_state import (
    SEQUENCE_TAGS,
    StrategyState,
    has_state_dict,
    is_strategy,
    may_change,
    rebinds_arrays,
)

__all__ = ["export_state"]


def export_state(
    strategy: Any, *, settings: Mapping[str, Any] | None = None
) -> StrategyState:
    """Take the state out of a strategy and of those it wraps.

    What comes out stands still while training goes on. Functions are the user's
    configuration and silently left to the constructor.

    Parameters
    ----------
    settings : mapping, optional
        What `settings_of` gave before training. Attributes that still are what they
        were then are left to the constructor too, so that a resumed run may have other
        settings.
    """
    exporter = _Exporter(settings or {})
    tree = exporter.strategy(strategy, path="")
    return StrategyState(tree, exporter.arrays, tuple(exporter.left_out))


class _NoPlainForm(Exception):
    """A value that only pickle could store."""


_NOTHING = object()


@dataclass(slots=True)
class _Exporter:
    settings: Mapping[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _rebinds: bool = False

    def strategy(self, owner: Any, path: str) -> dict[str, Any]:
        outer, self._rebinds = self._rebinds, rebinds_arrays(owner)
        try:
            return self._attributes(owner, path)
        finally:
            self._rebinds = outer

    def _attributes(self, owner: Any, path: str) -> dict[str, Any]:
        tree = {}
        for name, value in attributes_of(owner).items():
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
        tag = SEQUENCE_TAGS.get(type(value))
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
            return {"$strategy": self.strategy(value, f"{path}.")}
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
            changes = may_change(array, rebinds=self._rebinds)
            self.arrays[name] = array.copy(order="K") if changes else array
        return name
