"""Whatever a user measures or configures, as JSON that every database accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from datetime import date
from typing import Any

__all__ = ["dump_json", "finite_or_none", "from_json", "plain_text", "to_json"]

_PLAIN = (bool, int, float, str, bytes, list)
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value: Any) -> Any:
    """Turn a value into JSON, never failing.

    Non-finite floats become ``"nan"``, ``"inf"`` and ``"-inf"``, which neither JSON nor
    every database can hold as numbers; numpy scalars become numbers, times ISO 8601
    text, bytes hexadecimal text, and what JSON does not know becomes its text.
    """
    match value:
        case None | bool() | int():
            # A subclass such as IntEnum may print itself differently.
            return value if value is None or isinstance(value, bool) else int(value)
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case str():
            return plain_text(value)
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {plain_text(str(key)): to_json(item) for key, item in value.items()}
        case Set():
            return sorted((to_json(item) for item in value), key=str)
        case list() | tuple():
            return [to_json(item) for item in value]
    number = _python_value(value)
    return plain_text(str(value)) if number is None else to_json(number)


def from_json(value: Any) -> Any:
    """Undo what `to_json` did to non-finite floats.

    Text that reads ``nan``, ``inf`` or ``-inf`` comes back as a number.
    """
    match value:
        case str():
            return _NON_FINITE.get(value, value)
        case dict():
            return {key: from_json(item) for key, item in value.items()}
        case list():
            return [from_json(item) for item in value]
    return value


def dump_json(value: Any) -> str:
    """Write JSON in one canonical form: sorted, compact, ASCII, finite."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain_text(text: str) -> str:
    """Replace what databases cannot store in text: NUL and lone surrogates."""
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def finite_or_none(value: Any) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if isinstance(value, str | bytes | bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _python_value(value: Any) -> Any:
    """Return what numpy and torch scalars and arrays hold; None for the rest."""
    tolist = getattr(value, "tolist", None)
    if not callable(tolist):
        return None
    try:
        plain = tolist()
    except Exception:  # noqa: BLE001
        return None
    return plain if isinstance(plain, _PLAIN) else None
