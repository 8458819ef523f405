"""Any value of a federation as plain tuples that compare bit for bit."""

import hashlib
import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from flwr.app import Array, Message
from flwr.common import Parameters

from flwr_registry.strategy.state.attributes import attributes_of

__all__ = ["Canonical", "canonical", "public_state"]

Canonical = tuple[Any, ...]


def canonical(value: object) -> Canonical:
    """Return `value` as nested tuples: equal exactly when all bits are equal.

    Floats are compared by their bits, so a NaN equals itself; arrays by dtype, shape
    and a digest of their bytes; other objects by their class and attributes.
    """
    if value is None or isinstance(value, bool | int | str):
        return (_class_name(value), repr(value))
    if isinstance(value, float):
        return (type(value).__name__, value.hex())
    if isinstance(value, bytes | bytearray | memoryview):
        return ("bytes", len(value), _digest(bytes(value)))
    if isinstance(value, np.ndarray | np.generic):
        return ("numpy", value.dtype.str, value.shape, _digest(value.tobytes()))
    if isinstance(value, Mapping):
        items = tuple((canonical(k), canonical(v)) for k, v in value.items())
        return (_class_name(value), items)
    if isinstance(value, Sequence):
        return (_class_name(value), tuple(canonical(item) for item in value))
    if isinstance(value, Set):
        return ("set", tuple(sorted(canonical(item) for item in value)))
    return _canonical_object(value)


def _canonical_object(value: object) -> Canonical:  # noqa: C901
    if isinstance(value, Array):
        return ("Array", value.dtype, tuple(value.shape), _digest(value.data))
    if isinstance(value, Parameters):
        tensors = tuple(canonical(tensor) for tensor in value.tensors)
        return ("Parameters", value.tensor_type, tensors)
    if isinstance(value, Message):
        return _canonical_message(value)
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return (_class_name(value), canonical(named))
    if callable(getattr(value, "state_dict", None)):
        return (_class_name(value), canonical(value.state_dict()))
    if isinstance(value, random.Random):
        return (_class_name(value), canonical(value.getstate()))
    if isinstance(value, np.random.Generator):
        return (_class_name(value), canonical(value.bit_generator.state))
    if isinstance(value, np.random.RandomState):
        return (_class_name(value), canonical(value.get_state(legacy=False)))
    if hasattr(value, "untyped_storage"):
        content = bytes(value.detach().contiguous().untyped_storage().tolist())
        return ("tensor", str(value.dtype), tuple(value.shape), _digest(content))
    if hasattr(value, "get_state"):
        return (_class_name(value), canonical(value.get_state()))
    if callable(value):
        return ("callable", getattr(value, "__qualname__", _class_name(value)))
    return (_class_name(value), *public_state(value))


def _canonical_message(message: Message) -> Canonical:
    metadata = message.metadata
    payload = message.error if message.has_error() else dict(message.content)
    addressed = (metadata.message_type, metadata.dst_node_id, metadata.group_id)
    return ("Message", *addressed, canonical(payload))


def public_state(value: object) -> Canonical:
    """Return the attributes of an object, less those of a recording wrapper."""
    return tuple(
        (name, canonical(attribute))
        for name, attribute in sorted(attributes_of(value).items())
        if not name.startswith("_flwr_registry")
    )


def _class_name(value: object) -> str:
    return type(value).__qualname__


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
