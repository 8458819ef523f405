"""Values as a tree that JSON can hold, and named arrays."""

from __future__ import annotations

import math
import random
from array import array as numbers
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from flwr.app import Array
from flwr.common import Parameters

from flwr_registry.strategy.state.containers import (
    FACTORIES,
    base_of,
    contents_of,
    mapping_items,
)
from flwr_registry.strategy.state.known_classes import class_name_of, holds_fields
from flwr_registry.strategy.state.named_arrays import StateArrays
from flwr_registry.strategy.state.plain_forms import plain_form_of
from flwr_registry.strategy.state.plain_state import has_state_dict, is_strategy
from flwr_registry.strategy.state.stateless import FLOWER_RECORDS, is_stateless
from flwr_registry.strategy.state.torch_forms import (
    is_module,
    is_plain_tensor,
    is_torch_generator,
    modes_of,
    tensor_facts,
)

__all__ = ["CONTAINER_TAGS", "NoPlainFormError", "ValueWriter"]

CONTAINER_TAGS: dict[type, str] = {
    list: "$list",
    tuple: "$tuple",
    set: "$set",
    frozenset: "$frozenset",
    deque: "$deque",
    bytearray: "$bytearray",
    numbers: "$numbers",
    dict: "$dict",
    OrderedDict: "$OrderedDict",
    Counter: "$Counter",
    defaultdict: "$defaultdict",
}
"""A list of no other class stands for itself."""

_UNCHANGING = (tuple, frozenset)
_MAX_DEPTH = 60

Node = dict[str, Any] | list[Any]


class NoPlainFormError(Exception):
    """A value that only pickle could store."""


class Surroundings(Protocol):
    """What the value of an attribute lies in."""

    def write_strategy(self, owner: Any, path: str) -> dict[str, Any]:
        """Write a nested strategy."""

    def write_fields(self, owner: Any, path: str) -> dict[str, Any]:
        """Write the attributes of an object, of which some may be left out."""

    def has_place(self, value: Any, path: str) -> bool:
        """Whether a later start can make the object, or has one of its class there."""

    def note_object(self, value: Any, path: str) -> None:
        """Take note of an object whose state only one that is there can take."""


class ValueWriter:
    """Writes values; what is held twice is written once.

    Parameters
    ----------
    arrays : StateArrays
        Takes the arrays.
    surroundings : Surroundings
        Where the values lie.
    """

    def __init__(self, arrays: StateArrays, surroundings: Surroundings) -> None:
        self.arrays = arrays
        self.rebinds = False
        self._around = surroundings
        self._written: dict[int, tuple[Any, Node]] = {}
        self._open: set[int] = set()
        self._labels = 0
        self._depth = 0

    def attempt(self, value: Any, path: str) -> Any:
        """Write a value wholly or not at all.

        Raises
        ------
        NoPlainFormError
            When something in it has none.
        """
        mark, written = self.arrays.mark(), len(self._written)
        depth, still_open = self._depth, set(self._open)
        try:
            return self.value(value, path)
        except (NoPlainFormError, RecursionError) as error:
            self.arrays.forget_after(mark)
            for key in list(self._written)[written:]:
                del self._written[key]
            self._depth, self._open = depth, still_open
            raise NoPlainFormError(path) from error

    def remember(self, value: Any, node: Node) -> None:
        """Note how a value is written, before what it holds is."""
        self._written[identity_of(value)] = value, node

    def value(self, value: Any, path: str) -> Any:
        """Write one value."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is bytes:
            return {"$bytes": self._array(np.frombuffer(value, np.uint8), value)}
        known = self._written.get(identity_of(value))
        if known is not None:
            return self._again(known[1])
        if self._depth >= _MAX_DEPTH or identity_of(value) in self._open:
            raise NoPlainFormError(path)
        self._depth += 1
        node = self._small(value, path) or self._large(value, path)
        self._depth -= 1
        return node

    def _again(self, node: Node) -> dict[str, Any]:
        if isinstance(node, list):
            if not (node and isinstance(node[0], dict) and node[0].keys() == {"$id"}):
                node.insert(0, {"$id": self._new_label()})
            return {"$same": node[0]["$id"]}
        if "$id" not in node:
            node["$id"] = self._new_label()
        return {"$same": node["$id"]}

    def _new_label(self) -> int:
        self._labels += 1
        return self._labels

    def _small(self, value: Any, path: str) -> dict[str, Any] | None:
        """Write what holds no other value; None when it may."""
        form = plain_form_of(value)
        if form is not None:
            content = form.write(value)
            if content is None:
                raise NoPlainFormError(path)
            return {form.tag: content}
        if isinstance(value, np.generic) and not isinstance(value, np.void):
            return {"$scalar": self._array(np.asarray(value), value)}
        if isinstance(value, Enum):
            self._require_place(value, path)
            if value.name not in type(value).__members__:
                raise NoPlainFormError(path)
            return {"$enum": value.name, "$class": class_name_of(type(value))}
        if is_plain_tensor(value):
            return self._tensor(value, path)
        return None

    def _large(self, value: Any, path: str) -> Node:
        if is_strategy(value):
            return {"$strategy": self._around.write_strategy(value, f"{path}.")}
        if type(value) is np.ndarray:
            return self._ndarray(value, path)
        if has_state_dict(value):
            return self._state_dict(value, path)
        generator = self._generator(value, path)
        if generator is not None:
            return generator
        if isinstance(value, FLOWER_RECORDS):
            node: dict[str, Any] = {}
            self.remember(value, node)
            node[f"${_record_name(value)}"] = self._pairs(list(value.items()), path)
            return node
        if isinstance(value, Array):
            fields = (value.dtype, list(value.shape), value.stype)
            return self._noted(
                value, {"$Array": [*fields, self.value(value.data, path)]}
            )
        if isinstance(value, Parameters):
            tensors = [self.value(tensor, path) for tensor in value.tensors]
            return self._noted(value, {"$Parameters": [tensors, value.tensor_type]})
        if base_of(type(value)) is not None:
            return self._container(value, path)
        return self._object(value, path)

    def _noted(self, value: Any, node: Node) -> Node:
        self.remember(value, node)
        return node

    def _array(self, array: Any, owner: object) -> str:
        return self.arrays.name_of(array, owner, rebinds=self.rebinds)

    def _ndarray(self, value: Any, path: str) -> Node:
        if value.dtype.names:
            raise NoPlainFormError(path)
        if value.dtype.hasobject:
            node: dict[str, Any] = {"$objects": []}
            self.remember(value, node)
            items = [self.value(item, f"{path}[]") for item in value.flat]
            node["$objects"] = [list(value.shape), items]
            return node
        return {"$array": self._array(value, value)}

    def _tensor(self, tensor: Any, path: str) -> dict[str, Any]:
        name = self.arrays.name_of_tensor(tensor)
        if name is None:
            raise NoPlainFormError(path)
        node = {"$tensor": name, **tensor_facts(tensor)}
        self.remember(tensor, node)
        return node

    def _state_dict(self, value: Any, path: str) -> Node:
        node: dict[str, Any] = {"$state_dict": None}
        self.remember(value, node)
        self._around.note_object(value, path)
        try:
            state = value.state_dict()
        except Exception as error:
            raise NoPlainFormError(path) from error
        if isinstance(state, Mapping):
            kept = [pair for pair in state.items() if not is_stateless(pair[1])]
            node["$state_dict"] = {"$dict": self._pairs(kept, path)}
            versions = getattr(state, "_metadata", None)
            if versions:
                node["$metadata"] = self.value(versions, path)
        else:
            node["$state_dict"] = self.value(state, path)
        node["$class"] = class_name_of(type(value))
        if is_module(value):
            node["$modes"] = modes_of(value)
        return node

    def _generator(self, value: Any, path: str) -> Node | None:
        state: Any
        match value:
            case random.Random():
                try:
                    tag, state = "$random", value.getstate()
                except NotImplementedError:
                    raise NoPlainFormError(path) from None
            case np.random.Generator():
                tag, state = "$generator", value.bit_generator.state
            case np.random.RandomState():
                tag, state = "$random_state", value.get_state(legacy=False)
            case np.random.BitGenerator():
                tag, state = "$bit_generator", value.state
            case _ if is_torch_generator(value):
                tag, state = "$torch_generator", value.get_state()
            case _:
                return None
        return self._noted(value, {tag: self.value(state, path)})

    def _container(self, value: Any, path: str) -> Node:
        kind, base = type(value), base_of(type(value))
        assert base is not None
        if kind is list:
            items: list[Any] = []
            self.remember(value, items)
            self._fill(items, value, path)
            return items
        node: dict[str, Any] = {CONTAINER_TAGS[base]: None}
        if kind is not base:
            self._require_place(value, path)
            node["$class"] = class_name_of(kind)
            fields = self._around.write_fields(value, f"{path}.")
            node |= {"$attributes": fields} if fields else {}
        if base in _UNCHANGING:
            self._open.add(id(value))
        else:
            self.remember(value, node)
        node |= self._facts(value, path)
        if isinstance(value, dict):
            node[CONTAINER_TAGS[base]] = self._pairs(mapping_items(value), path)
        else:
            node[CONTAINER_TAGS[base]] = self._fill([], value, path)
        if base in _UNCHANGING:
            self._open.discard(id(value))
            self.remember(value, node)
        return node

    def _facts(self, value: Any, path: str) -> dict[str, Any]:
        """Return what a container is beside its contents."""
        if isinstance(value, deque) and value.maxlen is not None:
            return {"$maxlen": value.maxlen}
        if isinstance(value, numbers):
            return {"$typecode": value.typecode}
        if not isinstance(value, defaultdict) or value.default_factory is None:
            return {}
        name = getattr(value.default_factory, "__name__", "")
        if FACTORIES.get(name) is value.default_factory:
            return {"$factory": name}
        # The one of the constructor stays.
        self._require_place(value, path)
        return {"$factory": ""}

    def _fill(self, items: list[Any], value: Any, path: str) -> list[Any]:
        for position, item in enumerate(contents_of(value)):
            items.append(self.value(item, f"{path}[{position}]"))
        return items

    def _pairs(self, pairs: list[tuple[Any, Any]], path: str) -> list[Any]:
        return [
            [self.value(key, path), self.value(item, f"{path}.{_text_of(key)}")]
            for key, item in pairs
        ]

    def _object(self, value: Any, path: str) -> Node:
        kind = type(value)
        if kind is MappingProxyType:
            return self._noted(
                value, {"$mappingproxy": self._pairs(list(value.items()), path)}
            )
        if is_stateless(value) or not holds_fields(kind):
            raise NoPlainFormError(path)
        self._require_place(value, path)
        node: dict[str, Any] = {"$object": None, "$class": class_name_of(kind)}
        self.remember(value, node)
        node["$object"] = self._around.write_fields(value, f"{path}.")
        return node

    def _require_place(self, value: Any, path: str) -> None:
        if not self._around.has_place(value, path):
            raise NoPlainFormError(path)


def identity_of(value: Any) -> int:
    """Return what tells a value from others; a wrapper is what it wraps."""
    if is_strategy(value):
        shared = getattr(value, "__dict__", None)
        return id(value) if shared is None else id(shared)
    return id(value)


def _record_name(value: Any) -> str:
    return next(kind.__name__ for kind in FLOWER_RECORDS if isinstance(value, kind))


def _text_of(key: Any) -> str:
    return str(key) if type(key) in (str, int) else type(key).__name__
