"""Values that a short text or a few numbers say completely."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import (
    PosixPath,
    PurePath,
    PurePosixPath,
    PureWindowsPath,
    WindowsPath,
)
from typing import Any
from uuid import UUID

import numpy as np

__all__ = ["PLAIN_FORMS", "PlainForm", "plain_form_of", "readers"]


@dataclass(frozen=True, slots=True)
class PlainForm:
    """How values of one type are written and read.

    Attributes
    ----------
    write : callable
        Gives what JSON can hold, or None for a value that has no plain form.
    read : callable
        Makes the value; raises ValueError or TypeError for what it cannot read.
    """

    tag: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _number_text(number: float) -> Any:
    return number if math.isfinite(number) else repr(number)


def _moment(kind: type) -> PlainForm:
    def write(value: Any) -> Any:
        zone = getattr(value, "tzinfo", None)
        if zone is not None and type(zone) is not timezone:
            return None
        return [value.isoformat(), getattr(value, "fold", 0)]

    def read(content: Any) -> Any:
        text, fold = content
        value = kind.fromisoformat(text)  # type: ignore[attr-defined]
        return value.replace(fold=fold) if fold else value

    return PlainForm(f"${kind.__name__}", write, read)


def _span_of(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _zone_of(value: timezone) -> list[Any]:
    return [_span_of(value.utcoffset(None)), value.tzname(None)]


def _zone(content: Any) -> timezone:
    span, name = timedelta(*content[0]), content[1]
    plain = timezone(span) if span else UTC
    return plain if plain.tzname(None) == name else timezone(span, name)


def _slice_of(value: slice) -> Any:
    parts = [value.start, value.stop, value.step]
    return parts if all(type(each) in (int, type(None)) for each in parts) else None


def _path(kind: type[PurePath]) -> PlainForm:
    return PlainForm(f"${kind.__name__}", str, kind)


PLAIN_FORMS: dict[type, PlainForm] = {
    complex: PlainForm(
        "$complex",
        lambda value: [_number_text(value.real), _number_text(value.imag)],
        lambda parts: complex(float(parts[0]), float(parts[1])),
    ),
    range: PlainForm(
        "$range",
        lambda value: [value.start, value.stop, value.step],
        lambda parts: range(*parts),
    ),
    slice: PlainForm("$slice", _slice_of, lambda parts: slice(*parts)),
    type(Ellipsis): PlainForm("$ellipsis", lambda _: True, lambda _: Ellipsis),
    datetime: _moment(datetime),
    date: _moment(date),
    time: _moment(time),
    timedelta: PlainForm("$timedelta", _span_of, lambda parts: timedelta(*parts)),
    timezone: PlainForm("$timezone", _zone_of, _zone),
    Decimal: PlainForm("$Decimal", str, Decimal),
    Fraction: PlainForm(
        "$Fraction",
        lambda value: [value.numerator, value.denominator],
        lambda parts: Fraction(*parts),
    ),
    UUID: PlainForm("$UUID", str, UUID),
    PosixPath: _path(PosixPath),
    WindowsPath: _path(WindowsPath),
    PurePosixPath: _path(PurePosixPath),
    PureWindowsPath: _path(PureWindowsPath),
}
"""By the exact type."""


def _dtype_text(value: np.dtype[Any]) -> str | None:
    return None if value.hasobject or value.names else value.str


_DTYPE = PlainForm("$numpy_dtype", _dtype_text, np.dtype)


def plain_form_of(value: Any) -> PlainForm | None:
    """Return the form of a value's type, None when it has none."""
    if isinstance(value, np.dtype):
        return _DTYPE
    form = PLAIN_FORMS.get(type(value))
    if form is None and type(value).__module__ == "torch":
        form = _torch_forms().get(type(value))
    return form


def _torch_forms() -> dict[type, PlainForm]:
    torch: Any = sys.modules.get("torch")
    if not all(hasattr(torch, name) for name in ("dtype", "device", "Size")):
        return {}

    def dtype(name: str) -> Any:
        found = getattr(torch, name, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"torch has no dtype {name!r}")
        return found

    return {
        torch.dtype: PlainForm("$torch_dtype", lambda v: str(v)[6:], dtype),
        torch.device: PlainForm("$torch_device", str, torch.device),
        torch.Size: PlainForm("$torch_size", list, torch.Size),
    }


def readers() -> dict[str, Callable[[Any], Any]]:
    """Return how each form is read, by tag."""
    forms = (*PLAIN_FORMS.values(), _DTYPE, *_torch_forms().values())
    return {form.tag: form.read for form in forms}
