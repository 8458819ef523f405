"""Rows as a database gives them, whatever somebody wrote there by hand.

Where a value cannot be what its column holds, that is told instead of raised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, Boolean, Column, Integer, Table, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import Double

from flwr_registry.registry.rows.column_types import UtcDateTime

__all__ = ["FIRST", "UNSOUND_VALUE", "RawRow", "raw_newest", "raw_page", "raw_rows_of"]

FIRST = -(2**63)
"""Below the id of any row."""

UNSOUND_VALUE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a value that nothing of ours wrote may raise."""

_LISTS = ("errors", "validation_errors")


class RawRow(NamedTuple):
    """One row; a value that makes no sense is left out and told of.

    Attributes
    ----------
    values : dict
        By column.
    problems : tuple of str
        What makes no sense.
    """

    id: int
    values: dict[str, Any]
    problems: tuple[str, ...]


def raw_page(session: Session, table: Table, *, after: int, limit: int) -> list[RawRow]:
    """Read the rows after one, by their ids."""
    query = f"WHERE id > :after ORDER BY id LIMIT {int(limit)}"
    return _read(session, table, query, {"after": after})


def raw_newest(
    session: Session, table: Table, where: Mapping[str, str], *, limit: int
) -> list[RawRow]:
    """Read the rows with these values, newest first."""
    named = " AND ".join(f"{name} = :{name}" for name in where) or "TRUE"
    condition = f"WHERE {named} ORDER BY id DESC LIMIT {int(limit)}"
    return _read(session, table, condition, dict(where))


def raw_rows_of(
    session: Session, table: Table, column: str, ids: Iterable[int]
) -> list[RawRow]:
    """Read the rows that belong to others, by their ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return []
    return _read(session, table, f"WHERE {column} IN :ids ORDER BY id", {"ids": wanted})


def _read(
    session: Session, table: Table, condition: str, values: dict[str, Any]
) -> list[RawRow]:
    names = ", ".join(column.name for column in table.columns)
    statement = text(f"SELECT {names} FROM {table.name} {condition}")
    if "ids" in values:
        statement = statement.bindparams(bindparam("ids", expanding=True))
    checks = _checks(table)
    try:
        found = session.execute(statement, values).all()
    except DBAPIError:
        # Only SQLite holds texts that are none; it names no row.
        return _read_each(session, table, condition, values)
    return [_checked(checks, row) for row in found]


def _read_each(
    session: Session, table: Table, condition: str, values: dict[str, Any]
) -> list[RawRow]:
    """Read rows one by one, since one of them cannot be read."""
    which = text(f"SELECT id FROM {table.name} {condition}")
    if "ids" in values:
        which = which.bindparams(bindparam("ids", expanding=True))
    ids = list(session.scalars(which, values))
    names = ", ".join(column.name for column in table.columns)
    one = text(f"SELECT {names} FROM {table.name} WHERE id = :id")
    rows = []
    for each in ids:
        try:
            found = session.execute(one, {"id": each}).one()
        except DBAPIError:
            rows.append(RawRow(each, {}, ("it holds text that is no UTF-8",)))
        else:
            rows.append(_checked(_checks(table), found))
    return rows


def _checked(checks: Sequence[_Check], row: Sequence[Any]) -> RawRow:
    values: dict[str, Any] = {}
    problems = []
    for (name, nullable, convert), value in zip(checks, row, strict=True):
        if value is None:
            if nullable:
                values[name] = None
            else:
                problems.append(f"{name} is empty")
            continue
        try:
            values[name] = convert(value)
        except (ArithmeticError, RecursionError, TypeError, ValueError):
            problems.append(f"{name} cannot be {str(value)[:40]!r}")
    return RawRow(row[0], values, tuple(problems))


_Check = tuple[str, bool, Callable[[Any], Any]]


@cache
def _checks(table: Table) -> tuple[_Check, ...]:
    return tuple(
        (column.name, bool(column.nullable), _converter(column))
        for column in table.columns
    )


def _converter(column: Column[Any]) -> Callable[[Any], Any]:
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return _moment
    if isinstance(kind, JSON):
        return _list if column.name in _LISTS else _mapping
    if isinstance(kind, Boolean):
        return _truth
    if isinstance(kind, Integer):
        return _integer
    if isinstance(kind, Double):
        return _number
    return _text


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _mapping(value: Any) -> dict[str, Any]:
    found = _json(value)
    if not isinstance(found, dict):
        raise TypeError
    return found


def _list(value: Any) -> list[str]:
    found = _json(value)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise TypeError
    return found


def _json(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value, parse_constant=_refuse)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
