"""Values out of the tree that JSON holds, into the objects that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state.attributes import (
    attributes_of,
    class_attributes_of,
    set_attribute,
)
from flwr_registry.strategy.state.known_classes import KnownClasses
from flwr_registry.strategy.state.plain_forms import readers as plain_readers

__all__ = [
    "ABSENT",
    "ARRAY_READERS",
    "Place",
    "Reader",
    "StateArraysReader",
    "ValueReader",
]

ABSENT = object()
"""Stands for what is not there."""

_MISFITS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes.

    Attributes
    ----------
    node : dict
        The value in the tree.
    content : object
        What stands under the node's tag.
    present : object
        What is there; `ABSENT` for nothing.
    path : str
        For messages.
    """

    node: dict[str, Any]
    content: Any
    present: Any
    path: str


class StateArraysReader:
    """The arrays of a state, each copied once.

    Parameters
    ----------
    arrays : dict
        By name; each is taken out once it is copied: no two of them are held at once.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._made_bytes: dict[str, bytes] = {}
        self._made_arrays: dict[str, NDArray[Any]] = {}

    def stored(self, name: str) -> NDArray[Any]:
        """Return an array as it is stored.

        Raises
        ------
        CheckpointError
            When there is none of this name.
        """
        if name not in self._arrays:
            raise CheckpointError(f"the checkpoint's state lacks the array {name!r}")
        return self._arrays[name]

    def bytes_of(self, name: str) -> bytes:
        """Return an array as bytes, the same for the same name."""
        if name not in self._made_bytes:
            self._made_bytes[name] = self._taken(name).tobytes()
        return self._made_bytes[name]

    def own(self, name: str) -> NDArray[Any]:
        """Return an array that may be changed, the same for the same name."""
        if name not in self._made_arrays:
            self._made_arrays[name] = self._taken(name).copy(order="K")
        return self._made_arrays[name]

    def _taken(self, name: str) -> NDArray[Any]:
        array = self.stored(name)
        del self._arrays[name]
        return array


class ValueReader:
    """Reads values; contents go into the present object of the same class.

    Parameters
    ----------
    arrays : StateArraysReader
        The arrays that the tree names.
    known : KnownClasses
        The classes that the tree may name.
    readers : mapping
        By tag.
    settings : mapping
        What attributes that the tree lacks go back to, by path.
    is_old : bool
        An older release wrote the tree, which says less.
    """

    def __init__(
        self,
        arrays: StateArraysReader,
        known: KnownClasses,
        readers: Mapping[str, Reader],
        settings: Mapping[str, Any],
        *,
        is_old: bool,
    ) -> None:
        self.is_old = is_old
        self.arrays = arrays
        self.known = known
        self._readers = readers
        self._settings = settings
        self._forms = plain_readers()
        self._made: dict[int, Any] = {}
        self._used: dict[int, Any] = {}

    def value(self, node: Any, present: Any, path: str) -> Any:
        """Read a value for the place where `present` is.

        Raises
        ------
        CheckpointError
            When the strategy lacks an object, or has another, or the tree is damaged.
        """
        if isinstance(node, list):
            node = (
                {"$list": node[1:], **node[0]} if _is_label(node) else {"$list": node}
            )
        if not isinstance(node, dict):
            return node
        tag = next(iter(node), "")
        try:
            if tag == "$same":
                return self._made[node[tag]]
            if tag in self._forms:
                return self.keep(node, self._forms[tag](node[tag]))
            if tag in self._readers:
                place = Place(node, node[tag], present, path)
                return self.keep(node, self._readers[tag](self, place))
        except _MISFITS as error:
            raise CheckpointError(
                f"the checkpoint's {path} cannot be read: {error}"
            ) from error
        raise CheckpointError(f"the checkpoint's {path} is of an unknown kind, {tag!r}")

    def fields(self, owner: Any, tree: Mapping[str, Any], path: str) -> None:
        """Put saved attributes into an object."""
        is_class = isinstance(owner, type)
        present = class_attributes_of(owner) if is_class else attributes_of(owner)
        for name, node in tree.items():
            if not name.startswith("$"):
                before = present.get(name, ABSENT)
                set_attribute(owner, name, self.value(node, before, f"{path}{name}"))
        for name in present if self._settings else ():
            if name not in tree and f"{path}{name}" in self._settings:
                set_attribute(owner, name, self._settings[f"{path}{name}"])

    def keep(self, node: Mapping[str, Any], value: Any) -> Any:
        """Note what a node became, for those that are the same; return it."""
        if "$id" in node:
            self._made[node["$id"]] = value
        return value

    def takes(self, present: Any) -> bool:
        """Take a present object for a node, unless another node has taken it."""
        if id(present) in self._used:
            return False
        self._used[id(present)] = present
        return True


Reader = Callable[[ValueReader, Place], Any]


def _is_label(node: list[Any]) -> bool:
    """Whether a list begins with the label by which others refer to it."""
    return bool(node) and isinstance(node[0], dict) and node[0].keys() == {"$id"}


def _read_scalar(reader: ValueReader, place: Place) -> Any:
    """Read a numpy scalar."""
    return reader.arrays.stored(place.content)[()]


def _read_objects(reader: ValueReader, place: Place) -> Any:
    """Read an array of objects."""
    shape, items = place.content
    array = np.empty(tuple(shape), dtype=object)
    reader.keep(place.node, array)
    for position, item in enumerate(items):
        array.flat[position] = reader.value(item, ABSENT, f"{place.path}[]")
    return array


ARRAY_READERS: dict[str, Reader] = {
    "$scalar": _read_scalar,
    "$float": lambda _, place: float(place.content),
    "$bytes": lambda reader, place: reader.arrays.bytes_of(place.content),
    "$array": lambda reader, place: reader.arrays.own(place.content),
    "$objects": _read_objects,
}
