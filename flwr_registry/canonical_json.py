"""JSON in the one form of RFC 8785 (JCS), which any language can write again.

And how much any other JSON makes when it is parsed.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["canonical_json", "interoperable", "most_containers", "most_values"]

_LARGEST = 2**53 - 1
_text = json.encoder.encode_basestring


def canonical_json(value: Any) -> bytes:
    """Write JSON as RFC 8785 has it: names sorted, numbers as ECMAScript writes them.

    Raises
    ------
    ValueError
        For a number that is not finite, or an integer beyond 2**53 - 1, which other
        languages do not hold: see `interoperable`. For a lone surrogate.
    TypeError
        For a value or a name that JSON does not know.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8")


def most_containers(text: bytes) -> int:
    """Return how many lists and objects JSON has at most, before any is made."""
    return text.count(b"[") + text.count(b"{")


def most_values(text: bytes) -> int:
    """Return how many values JSON has at most, before any is made.

    Each but the first follows a comma or opens a list or an object.
    """
    return 1 + text.count(b",") + most_containers(text)


def interoperable(value: Any) -> Any:
    """Turn integers that not every language holds into text, as I-JSON advises."""
    match value:
        case bool():
            return value
        case int():
            return value if abs(value) <= _LARGEST else str(value)
        case dict():
            return {key: interoperable(item) for key, item in value.items()}
        case list() | tuple():
            return [interoperable(item) for item in value]
    return value


def _write(value: Any, parts: list[str]) -> None:
    # Texts and mappings first: a database has a million of them.
    if isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, dict):
        _write_object(value, parts)
    elif value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError(f"{value} is no number that every language holds")
        parts.append(str(int(value)))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, list | tuple):
        separator = "["
        for item in value:
            parts.append(separator)
            _write(item, parts)
            separator = ","
        parts.append("]" if value else "[]")
    else:
        raise TypeError(f"{type(value).__name__} is not known to JSON")


def _write_object(value: dict[Any, Any], parts: list[str]) -> None:
    separator = "{"
    for name in sorted(value, key=_utf_16):
        parts.append(separator)
        parts.append(_text(name))
        parts.append(":")
        _write(value[name], parts)
        separator = ","
    parts.append("}" if value else "{}")


def _utf_16(name: str) -> bytes:
    """Return the order of a name: by UTF-16 units, not by characters."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name of a JSON object")
    return name.encode("utf-16-be")


def _number(value: float) -> str:
    """Write a number as ECMAScript does (Number::toString).

    Python finds the same shortest digits, and only places them in another way.
    """
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124
        raise ValueError(f"JSON holds no {value}")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the power of `point`.
    point = int(exponent or 0) - len(fraction) + len(digits)
    digits = digits.rstrip("0")
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    shown = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{shown}e{point - 1:+d}"
