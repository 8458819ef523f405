"""Containers of a state, filled in place where the same container is there."""

from __future__ import annotations

from array import array as numbers
from collections import defaultdict, deque
from functools import partial
from types import MappingProxyType
from typing import Any

from flwr.app import Array
from flwr.common import Parameters

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state.containers import (
    FACTORIES,
    contents_of,
    mapping_items,
    refill,
)
from flwr_registry.strategy.state.known_classes import class_name_of, made_bare
from flwr_registry.strategy.state.stateless import FLOWER_RECORDS
from flwr_registry.strategy.state.tree_reading import ABSENT, Place, Reader, ValueReader
from flwr_registry.strategy.state.tree_writing import CONTAINER_TAGS

__all__ = ["CONTAINER_READERS"]


def _items(reader: ValueReader, place: Place) -> list[Any]:
    present = place.present
    there = contents_of(present) if isinstance(present, list | tuple | deque) else []
    there += [ABSENT] * (len(place.content) - len(there))
    return [
        reader.value(item, there[position], f"{place.path}[{position}]")
        for position, item in enumerate(place.content)
    ]


def _pairs(reader: ValueReader, place: Place) -> list[tuple[Any, Any]]:
    present = place.present
    there = dict(mapping_items(present)) if isinstance(present, dict) else {}
    pairs = []
    for key_node, item in place.content:
        key = reader.value(key_node, ABSENT, place.path)
        path = f"{place.path}.{key}"
        pairs.append((key, reader.value(item, there.get(key, ABSENT), path)))
    return pairs


def _read_unchanging(base: Any, reader: ValueReader, place: Place) -> Any:
    kind = _class_named(base, reader, place)
    made = base.__new__(kind, _items(reader, place))
    reader.fields(made, place.node.get("$attributes", {}), f"{place.path}.")
    return made


def _read_container(base: Any, reader: ValueReader, place: Place) -> Any:
    target = _target(base, reader, place)
    reader.keep(place.node, target)
    is_mapping = issubclass(base, dict)
    refill(target, _pairs(reader, place) if is_mapping else _items(reader, place))
    reader.fields(target, place.node.get("$attributes", {}), f"{place.path}.")
    return target


def _target(base: Any, reader: ValueReader, place: Place) -> Any:
    """Return the container that takes the contents: the one there, or a new one."""
    kind, present = _class_named(base, reader, place), place.present
    if type(present) is kind and _suits(reader, place) and reader.takes(present):
        return present
    if kind is deque:
        return deque(maxlen=place.node.get("$maxlen"))
    if kind is numbers:
        return numbers(place.node["$typecode"])
    made = made_bare(kind)
    if isinstance(made, defaultdict):
        factory = FACTORIES.get(place.node.get("$factory", ""))
        made.default_factory = factory or getattr(present, "default_factory", None)
    return made


def _suits(reader: ValueReader, place: Place) -> bool:
    present = place.present
    if isinstance(present, numbers):
        return bool(present.typecode == place.node["$typecode"])
    if isinstance(present, deque) and not reader.is_old:
        return present.maxlen == place.node.get("$maxlen")
    return True


def _class_named(base: type, reader: ValueReader, place: Place) -> type:
    kind, name = type(place.present), place.node.get("$class")
    if name is None:
        # An older release did not tell a container from one that builds on it.
        return kind if reader.is_old and issubclass(kind, base) else base
    if class_name_of(kind) == name and issubclass(kind, base):
        return kind
    found = reader.known.find(name)
    if found is None or not issubclass(found, base):
        raise CheckpointError(
            f"the checkpoint's {place.path} is a {name}, which the modules of this "
            "strategy do not have: build the strategy as it was built before"
        )
    return found


def _read_record(kind: Any, reader: ValueReader, place: Place) -> Any:
    return kind(dict(_pairs(reader, place)))


def _read_proxy(reader: ValueReader, place: Place) -> Any:
    return MappingProxyType(dict(_pairs(reader, place)))


def _read_array(reader: ValueReader, place: Place) -> Array:
    dtype, shape, stype, data = place.content
    return Array(dtype, tuple(shape), stype, reader.value(data, ABSENT, place.path))


def _read_parameters(reader: ValueReader, place: Place) -> Parameters:
    tensors, tensor_type = place.content
    return Parameters(reader.value(tensors, ABSENT, place.path), tensor_type)


CONTAINER_READERS: dict[str, Reader] = {
    **{
        tag: partial(
            _read_unchanging if kind in (tuple, frozenset) else _read_container, kind
        )
        for kind, tag in CONTAINER_TAGS.items()
    },
    **{f"${each.__name__}": partial(_read_record, each) for each in FLOWER_RECORDS},
    "$mappingproxy": _read_proxy,
    "$Array": _read_array,
    "$Parameters": _read_parameters,
}
