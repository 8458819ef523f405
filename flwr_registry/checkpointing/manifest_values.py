"""Values of a manifest as strict JSON, which come back as what they were.

JSON knows neither NaN nor bytes, and one kind of number: what it cannot tell apart is
an object with one key that starts with ``$``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["decoded", "encoded"]

_PLAIN = (bool, int, float, str, bytes, list)
_SCALARS, _ARRAYS = "biufUS", "biuf"
_EXACT_BYTES = 8


def encoded(value: Any) -> Any:
    """Turn a value into what JSON can hold; what it does not know becomes its text."""
    if isinstance(value, np.generic) and _is_exact(value.dtype, _SCALARS):
        return {"$numpy": [value.dtype.str, encoded(value.item())]}
    if isinstance(value, np.ndarray) and _is_exact(value.dtype, _ARRAYS):
        flat = [encoded(item) for item in value.ravel().tolist()]
        return {"$array": [value.dtype.str, list(value.shape), flat]}
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # Of its subclasses only float itself prints as it is read.
            number = float(value)
            return number if math.isfinite(number) else {"$float": repr(number)}
        case bytes():
            return {"$bytes": value.hex()}
        case Mapping():
            items = {str(key): encoded(item) for key, item in value.items()}
            is_like_a_tag = len(items) == 1 and next(iter(items)).startswith("$")
            return {"$map": items} if is_like_a_tag else items
        case tuple():
            return {"$tuple": [encoded(item) for item in value]}
        case list():
            return [encoded(item) for item in value]
    tolist = getattr(value, "tolist", None)
    plain = tolist() if callable(tolist) else str(value)
    return encoded(plain) if isinstance(plain, _PLAIN) else str(value)


def decoded(value: Any) -> Any:
    """Undo `encoded`.

    Raises
    ------
    TypeError, ValueError
        For a number of a kind that numpy does not know.
    """
    match value:
        case list():
            return [decoded(item) for item in value]
        case {"$float": "nan" | "inf" | "-inf" as text, **rest} if not rest:
            return float(text)
        case {"$bytes": str(text), **rest} if not rest:
            return bytes.fromhex(text)
        case {"$tuple": list(items), **rest} if not rest:
            return tuple(decoded(item) for item in items)
        case {"$numpy": [str(dtype), plain], **rest} if not rest:
            return _exact_dtype(dtype, _SCALARS).type(decoded(plain))
        case {"$array": [str(dtype), list(shape), list(flat)], **rest} if not rest:
            return np.array(decoded(flat), _exact_dtype(dtype, _ARRAYS)).reshape(shape)
        case {"$map": dict(items), **rest} if not rest:
            return {key: decoded(item) for key, item in items.items()}
        case dict():
            return {key: decoded(item) for key, item in value.items()}
    return value


def _exact_dtype(text: str, kinds: str) -> np.dtype[Any]:
    """Return a dtype that `encoded` writes; of others a value could take any memory."""
    dtype = np.dtype(text)
    if not _is_exact(dtype, kinds):
        raise ValueError(f"{dtype} is no dtype of a value")
    return dtype


def _is_exact(dtype: np.dtype[Any], kinds: str) -> bool:
    """Tell whether python's own numbers and texts hold such values exactly."""
    is_text = dtype.kind in "US"
    return dtype.kind in kinds and (is_text or dtype.itemsize <= _EXACT_BYTES)
