"""What a search can ask for: the fields, their operators and their values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from flwr_registry.errors import InvalidNameError
from flwr_registry.records import MetricSource, VersionStatus
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.versions.version_manager import SemVer, parse_version

__all__ = ["FIELDS", "KEYED_FIELDS", "METRIC_FIELDS", "Field", "Kind", "read_value"]

_EQUAL = ("=", "!=")
_ORDERED = (*_EQUAL, "<", "<=", ">", ">=")
_ALIKE = ("like", "ilike")
_RELATIVE = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


class Kind(Enum):
    """What the values of a field are."""

    TEXT = auto()
    NUMBER = auto()
    VERSION = auto()
    TIME = auto()
    TRUTH = auto()
    STATUS = auto()
    NODE = auto()

    @property
    def operators(self) -> tuple[str, ...]:
        """What may stand between the field and a value."""
        return _OPERATORS[self]


_OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TEXT: (*_EQUAL, "in", *_ALIKE),
    Kind.NUMBER: (*_ORDERED, "in"),
    Kind.VERSION: (*_ORDERED, "in"),
    Kind.TIME: _ORDERED,
    Kind.TRUTH: _EQUAL,
    Kind.STATUS: (*_EQUAL, "in"),
    # A version has many nodes, so that "not equal" would have two meanings.
    Kind.NODE: ("=", "in", *_ALIKE),
}
FIELDS: Mapping[str, Kind] = {
    "model": Kind.TEXT,
    "version": Kind.VERSION,
    "status": Kind.STATUS,
    "run": Kind.TEXT,
    "flwr_run_id": Kind.TEXT,
    "node": Kind.NODE,
    "round": Kind.NUMBER,
    "created": Kind.TIME,
    "size": Kind.NUMBER,
    "epsilon": Kind.NUMBER,
    "num_clients": Kind.NUMBER,
    "description": Kind.TEXT,
    "created_by": Kind.TEXT,
    "architecture": Kind.TEXT,
    "framework": Kind.TEXT,
    "parent": Kind.TEXT,
    "production": Kind.TRUTH,
    "pinned": Kind.TRUTH,
    "withdrawn": Kind.TRUTH,
}
METRIC_FIELDS = ("metrics", *sorted(source.value for source in MetricSource))
KEYED_FIELDS: Mapping[str, Kind] = {
    "tags": Kind.TEXT,
    **dict.fromkeys(METRIC_FIELDS, Kind.NUMBER),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field in an expression.

    Attributes
    ----------
    key : str or None
        The tag or the metric.
    start, end : int
        Its place in the expression.
    """

    name: str
    key: str | None
    start: int
    end: int

    @property
    def kind(self) -> Kind:
        """What its values are."""
        return KEYED_FIELDS[self.name] if self.key is not None else FIELDS[self.name]


def read_value(kind: Kind, text: str, now: datetime) -> Any:
    """Turn the text of a value into what it means.

    Parameters
    ----------
    now : datetime
        From which relative times count back.

    Raises
    ------
    ValueError
        Naming what was expected.
    """
    return _READERS[kind](text, now)


def _number(text: str, now: datetime) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a finite number, such as 0.9")
    return number


def _version(text: str, now: datetime) -> SemVer:
    try:
        return parse_version(text)
    except InvalidNameError as error:
        raise ValueError("a version, such as 1.4.0") from error


def _time(text: str, now: datetime) -> datetime:
    relative = _RELATIVE.fullmatch(text)
    try:
        if relative:
            count, unit = relative.groups()
            return now - timedelta(**{_UNITS[unit]: int(count)})
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            "a time, such as 2026-01-31, '2026-01-31T12:00:00Z' or 7d (seven "
            "days ago; units s m h d w)"
        ) from error


def _truth(text: str, now: datetime) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("true or false")
    return text.lower() == "true"


def _status(text: str, now: datetime) -> str:
    if text not in set(VersionStatus):
        raise ValueError(f"a status: {', '.join(VersionStatus)}")
    return text


def _text(text: str, now: datetime) -> str:
    return plain_text(text)


_READERS: Mapping[Kind, Callable[[str, datetime], Any]] = {
    Kind.TEXT: _text,
    Kind.NODE: _text,
    Kind.NUMBER: _number,
    Kind.VERSION: _version,
    Kind.TIME: _time,
    Kind.TRUTH: _truth,
    Kind.STATUS: _status,
}
