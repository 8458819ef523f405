"""Objects of a state, which take it themselves or by their attributes."""

from __future__ import annotations

import random
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state.attributes import attributes_of, set_attribute
from flwr_registry.strategy.state.known_classes import (
    class_name_of,
    holds_fields,
    is_frozen,
    made_bare,
)
from flwr_registry.strategy.state.plain_state import has_state_dict
from flwr_registry.strategy.state.torch_forms import (
    generator_from,
    is_module,
    load_modes,
    tensor_from,
)
from flwr_registry.strategy.state.tree_reading import ABSENT, Place, Reader, ValueReader

__all__ = ["OBJECT_READERS"]

_BIT_GENERATORS = {
    each.__name__: each
    for each in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}


def _missing(place: Place, name: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint holds the state of the strategy's {place.path} ({name}), "
        "which this strategy does not have when its first new round begins: build the "
        "strategy as it was built before, with this object made by its constructor"
    )


def _name_in(place: Place) -> str:
    return str(place.node.get("$class", "an object"))


def _read_tensor(reader: ValueReader, place: Place) -> Any:
    present = place.present if reader.takes(place.present) else ABSENT
    return tensor_from(reader.arrays.own(place.content), place.node, present)


def _read_enum(reader: ValueReader, place: Place) -> Any:
    name, kind = _name_in(place), type(place.present)
    is_same = isinstance(place.present, Enum) and class_name_of(kind) == name
    found = kind if is_same else reader.known.find_enum(name)
    if found is None or place.content not in found.__members__:
        raise _missing(place, f"{name}.{place.content}")
    return found.__members__[place.content]


def _read_object(reader: ValueReader, place: Place) -> Any:
    name, kind = _name_in(place), type(place.present)
    is_same = holds_fields(kind) and class_name_of(kind) == name
    found = kind if is_same else reader.known.find(name)
    if found is None or not holds_fields(found):
        raise _missing(place, name)
    if is_same and not is_frozen(found) and reader.takes(place.present):
        target = place.present
    else:
        target = made_bare(found)
        if is_same:
            for each, value in attributes_of(place.present).items():
                set_attribute(target, each, value)
    reader.keep(place.node, target)
    reader.fields(target, place.content, f"{place.path}.")
    _check_complete(target, place, name)
    return target


def _check_complete(target: Any, place: Place, name: str) -> None:
    """See that no field is missing that only the constructor's own object has."""
    if is_dataclass(target):
        held = attributes_of(target)
        if any(each.name not in held for each in fields(target) if each.init):
            raise _missing(place, name)


def _read_state_dict(reader: ValueReader, place: Place) -> Any:
    present, name = place.present, _name_in(place)
    if not has_state_dict(present):
        raise _missing(place, name)
    if "$class" in place.node and class_name_of(type(present)) != name:
        raise CheckpointError(
            f"the checkpoint holds the state of the strategy's {place.path} as of a "
            f"{name}, this strategy has a {class_name_of(type(present))} there: build "
            "the strategy as it was built before"
        )
    reader.keep(place.node, present)
    state = reader.value(place.content, ABSENT, place.path)
    metadata = place.node.get("$metadata")
    if metadata is not None:
        state = _Versioned(state)
        state._metadata = reader.value(metadata, ABSENT, place.path)
    try:
        present.load_state_dict(state)
        if is_module(present) and "$modes" in place.node:
            load_modes(present, place.node["$modes"])
    except Exception as error:
        raise CheckpointError(
            f"the strategy's {place.path} does not take the state of the checkpoint: "
            f"{error}"
        ) from error
    return present


class _Versioned(dict[str, Any]):
    """A module's state with the versions of its parts, as torch looks for them."""

    _metadata: Any


def _read_random(reader: ValueReader, place: Place) -> random.Random:
    is_there = isinstance(place.present, random.Random)
    generator = place.present if is_there else random.Random()  # noqa: S311
    generator.setstate(reader.value(place.content, ABSENT, place.path))
    return generator


def _bit_generator(state: Any, present: Any) -> Any:
    """Set numpy's bits, or make those that the state names."""
    name = state["bit_generator"]
    if type(present).__name__ != name:
        present = _BIT_GENERATORS[name]()
    present.state = state
    return present


def _read_bit_generator(reader: ValueReader, place: Place) -> Any:
    state = reader.value(place.content, ABSENT, place.path)
    return _bit_generator(state, place.present)


def _read_generator(reader: ValueReader, place: Place) -> Any:
    state, present = reader.value(place.content, ABSENT, place.path), place.present
    bits = present.bit_generator if isinstance(present, np.random.Generator) else None
    filled = _bit_generator(state, bits)
    return present if filled is bits else np.random.Generator(filled)


def _read_random_state(reader: ValueReader, place: Place) -> Any:
    state, present = reader.value(place.content, ABSENT, place.path), place.present
    if not _draws_alike(present, state):
        present = np.random.RandomState(_BIT_GENERATORS[state["bit_generator"]]())
    present.set_state(state)
    return present


def _draws_alike(present: Any, state: Any) -> bool:
    if not isinstance(present, np.random.RandomState):
        return False
    own: Any = present.get_state(legacy=False)
    return bool(own["bit_generator"] == state["bit_generator"])


def _read_torch_generator(reader: ValueReader, place: Place) -> Any:
    state = reader.value(place.content, ABSENT, place.path)
    return generator_from(state, place.present)


OBJECT_READERS: dict[str, Reader] = {
    "$tensor": _read_tensor,
    "$enum": _read_enum,
    "$object": _read_object,
    "$state_dict": _read_state_dict,
    "$random": _read_random,
    "$generator": _read_generator,
    "$random_state": _read_random_state,
    "$bit_generator": _read_bit_generator,
    "$torch_generator": _read_torch_generator,
}
