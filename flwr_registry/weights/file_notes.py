"""What a weights file notes beside its arrays, in the metadata of its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from flwr_registry.errors import WeightsFormatError

__all__ = [
    "CAST_BACK",
    "FINGERPRINT",
    "LAYOUT",
    "OPAQUE",
    "checked_dtype",
    "dtypes_before_widening",
    "has_layout_notes",
    "is_opaque",
    "layout_notes",
]

_PREFIX = "flwr_registry."
LAYOUT, CAST_BACK, OPAQUE, FINGERPRINT = (
    _PREFIX + key for key in ("layout", "cast_back", "opaque", "fingerprint")
)
"""Keys of the metadata."""

_NUMBERS, _MAX_ITEM_BYTES = "biuf", 8


def is_opaque(metadata: Mapping[str, str]) -> bool:
    """Tell by its metadata whether a file holds a serialized model, no tensors."""
    return metadata.get(OPAQUE) == "true"


def dtypes_before_widening(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return by name what dtype arrays had before a strategy's arithmetic.

    Raises
    ------
    WeightsFormatError
        When what is noted is no dtype, or none of plain numbers.
    """
    cast_back = _json_mapping(metadata, CAST_BACK)
    for text in cast_back.values():
        dtype = checked_dtype(text)
        if dtype.kind not in _NUMBERS or dtype.itemsize > _MAX_ITEM_BYTES:
            raise WeightsFormatError(f"{dtype} is no dtype that arithmetic widens")
    return cast_back


def has_layout_notes(metadata: Mapping[str, str]) -> bool:
    """Tell whether arrays had a dtype or an order that the file itself cannot say."""
    return LAYOUT in metadata


def layout_notes(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return by name what the file itself cannot say of an array.

    Raises
    ------
    WeightsFormatError
        When the notes are damaged.
    """
    return _json_mapping(metadata, LAYOUT)


def checked_dtype(text: Any) -> np.dtype[Any]:
    """Return the dtype that a note names.

    Raises
    ------
    WeightsFormatError
        When it is none, or one that only pickle could store.
    """
    try:
        dtype = np.dtype(text) if isinstance(text, str) else None
    except Exception:  # noqa: BLE001
        # Of a text from outside numpy's parsers raise errors of many kinds.
        dtype = None
    if dtype is None or dtype.hasobject or dtype.names or dtype.subdtype:
        raise WeightsFormatError(f"{str(text)[:80]!r} is no dtype of an array")
    return dtype


def _json_mapping(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise WeightsFormatError(f"the file's metadata {key!r} is damaged")
    return value
