"""The order of what a search finds, and the place in it where a page ends."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Select,
    and_,
    literal,
    or_,
    tuple_,
)

from flwr_registry.errors import SearchError, did_you_mean
from flwr_registry.registry.rows.json_values import finite_or_none
from flwr_registry.registry.rows.version_db import MetricRow, VersionRow
from flwr_registry.registry.search.conditions import (
    NUMBER_PARTS,
    NUMBERS,
    is_measure,
)
from flwr_registry.registry.search.fields import FIELDS, Field
from flwr_registry.registry.search.parser import parse_field
from flwr_registry.registry.search.tokens import search_error

__all__ = ["Order", "Place"]

_IN_TURN = ("id", "created")
_MAX_ID = 2**63 - 1
_QUERY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended.

    Attributes
    ----------
    key : tuple of float or None
        What the last version was ordered by; None for a value that it lacks.
    id : int
        Of the last version.
    """

    key: tuple[float | None, ...]
    id: int

    def token(self, *search: str | None) -> str:
        """Write a place in the pages of one search as an opaque text."""
        content = [_digest(search), list(self.key), self.id]
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()

    @classmethod
    def of_token(cls, token: str, *search: str | None) -> Place:
        """Read what `token` wrote for the same search.

        Raises
        ------
        SearchError
            For a token of another search, or a text that is no token.
        """
        damaged = SearchError("this is no page token: search again without it")
        try:
            content = json.loads(base64.b64decode(token, altchars="-_", validate=True))
        except (ValueError, binascii.Error, RecursionError, TypeError) as error:
            raise damaged from error
        match content:
            case [str(digest), list(key), int(id)] if _is_place(key, id):
                pass
            case _:
                raise damaged
        if digest != _digest(search):
            raise SearchError(
                "this page token belongs to another search: give the expression, model "
                "and order that it came from"
            )
        return cls(tuple(key), id)


@dataclass(frozen=True, slots=True)
class Order:
    """By what found versions are ordered; the order of registration breaks ties.

    Attributes
    ----------
    field : Field or None
        None for the order of registration.
    descending : bool
        The greatest, or the newest, first. Versions without a value come last.
    """

    field: Field | None
    descending: bool

    @classmethod
    def parse(cls, text: str) -> Order:
        """Read ``FIELD``, ``FIELD asc`` or ``FIELD desc``.

        Raises
        ------
        SearchError
            Naming what can be ordered by.
        """
        name, *rest = text.split() or [""]
        if name in _IN_TURN and len(rest) <= 1:
            field, direction = None, "".join(rest).lower()
        else:
            field, direction = parse_field(text)
            _check_orderable(text, field)
        if direction not in {"", "asc", "desc"}:
            start = text.lower().rindex(direction)
            problem = f"expected asc or desc, found {direction!r}"
            raise search_error(text, start, len(text), problem)
        return cls(field, direction == "desc")

    def applied(self, query: Select[Any], after: Place | None) -> Select[Any]:
        """Add the order, the columns of its key, and where to begin, to a query."""
        if self.field is not None and self.field.key is not None:
            joined = and_(MetricRow.version_id == VersionRow.id, is_measure(self.field))
            query = query.outerjoin(MetricRow, joined)
        columns = self._columns()
        query = query.add_columns(*columns)
        if after is not None:
            query = query.where(self._after(columns, after))
        missing = [column.is_(None) for column in columns if self._may_be_missing]
        return query.order_by(*missing, *map(self._directed, [*columns, _id()]))

    def check_place(self, place: Place) -> Place:
        """Return a place that can be one in this order."""
        whole = self._may_be_missing or None not in place.key
        if not whole or len(place.key) != len(self._columns()):
            raise SearchError("this is no page token: search again without it")
        return place

    @property
    def _may_be_missing(self) -> bool:
        return self.field is not None and self.field.name != "version"

    def _columns(self) -> Sequence[ColumnElement[Any]]:
        if self.field is None:
            return []
        if self.field.key is not None:
            return [MetricRow.value.expression]
        if self.field.name == "version":
            return [part.expression for part in NUMBER_PARTS]
        return [NUMBERS[self.field.name]]

    def _directed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if self.descending else column.asc()

    def _after(
        self, columns: Sequence[ColumnElement[Any]], place: Place
    ) -> ColumnElement[bool]:
        last = literal(place.id, BigInteger())
        follows = self._beyond([_id()], [last])
        if not self._may_be_missing:
            parts: list[ColumnElement[Any]] = [
                literal(part, Double()) for part in place.key
            ]
            return self._beyond([*columns, _id()], [*parts, last])
        (column,), (value,) = columns, place.key
        if value is None:
            return and_(column.is_(None), follows)
        bound: ColumnElement[float] = literal(value, Double())
        return or_(
            column.is_(None),
            self._beyond([column], [bound]),
            and_(column == bound, follows),
        )

    def _beyond(
        self, columns: Sequence[ColumnElement[Any]], values: Sequence[Any]
    ) -> ColumnElement[bool]:
        left: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
        right: Any = values[0] if len(values) == 1 else tuple_(*values)
        beyond: ColumnElement[bool] = left < right if self.descending else left > right
        return beyond


def _check_orderable(text: str, field: Field) -> None:
    known = ["id", "created", "version", *NUMBERS]
    if field.name == "tags" or (field.key is None and field.name not in known):
        as_metric = [f"metrics.{field.name}"] if field.name not in FIELDS else []
        names = [*known, "metrics.NAME"]
        near = did_you_mean(field.name, names, possible=as_metric)
        problem = f"{field.name} is no number to order by; {near}"
        raise search_error(text, field.start, field.end, problem)


def _id() -> ColumnElement[Any]:
    return VersionRow.id.expression


def _is_place(key: Sequence[Any], id: Any) -> bool:
    sound = all(part is None or finite_or_none(part) is not None for part in key)
    return sound and not isinstance(id, bool) and 0 <= id <= _MAX_ID


def _digest(search: Sequence[str | None]) -> str:
    text = json.dumps(search)
    return hashlib.sha256(text.encode()).hexdigest()[:_QUERY_DIGITS]
