"""Search expressions as SQL, every value of the user a bound parameter."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Double,
    Select,
    TableValuedAlias,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
)

from flwr_registry.registry.rows.column_types import UtcDateTime
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.run_db import ContributionRow, RunRow
from flwr_registry.registry.rows.version_db import MetricRow, VersionRow
from flwr_registry.registry.search.expressions import (
    All,
    Comparison,
    Expression,
    Negation,
    Some,
)
from flwr_registry.registry.search.fields import Field
from flwr_registry.registry.search.patterns import matches

__all__ = ["NUMBERS", "NUMBER_PARTS", "Conditions", "is_measure"]

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS: Mapping[str, ColumnElement[Any]] = {
    "round": case((VersionRow.round_id.is_not(None), VersionRow.total_rounds)),
    "size": VersionRow.file_size_bytes.expression,
    "epsilon": VersionRow.epsilon.expression,
    "num_clients": VersionRow.num_clients.expression,
}
"""The fields that are a number, as they stand in the row of a version."""

_IN_ROW: Mapping[str, ColumnElement[Any]] = {
    **NUMBERS,
    "status": VersionRow.status.expression,
    "created": VersionRow.created_at.expression,
    "description": VersionRow.description.expression,
    "created_by": VersionRow.created_by.expression,
    "architecture": VersionRow.architecture.expression,
    "framework": VersionRow.framework.expression,
    "parent": VersionRow.parent_version.expression,
    "production": VersionRow.is_production.expression,
    "pinned": VersionRow.pinned.expression,
    "withdrawn": VersionRow.withdrawn.expression,
}
NUMBER_PARTS = (VersionRow.major, VersionRow.minor, VersionRow.patch)
"""What a version is ordered by."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Turns expressions into conditions on `VersionRow`.

    Each comparison is true or false, never unknown, so that ``not`` means the rest.

    Attributes
    ----------
    postgresql : bool
        Which database will be asked.
    name_of : callable
        Gives the recorded name of a node.
    """

    postgresql: bool
    name_of: Callable[[str], str]

    def of(self, expression: Expression) -> ColumnElement[bool]:
        """Return the condition that an expression stands for."""
        match expression:
            case Comparison():
                return self._comparison(expression)
            case Negation(operand):
                return not_(self.of(operand))
            case All(operands):
                return and_(true(), *map(self.of, operands))
            case Some(operands):
                return or_(*map(self.of, operands))

    def tags(self) -> TableValuedAlias:
        """Return the tags of the version as a table of keys and values."""
        each = func.json_each_text if self.postgresql else func.json_each
        return each(VersionRow.tags).table_valued("key", "value")

    def _comparison(self, asked: Comparison) -> ColumnElement[bool]:
        field = asked.field
        match field.name:
            case "tags":
                tag = self.tags()
                wanted = and_(tag.c.key == field.key, self._holds(asked, tag.c.value))
                return _exists(select(1).select_from(tag).where(wanted))
            case "version":
                return _numbered(asked)
            case "model":
                models = select(ModelRow.id).where(self._holds(asked, ModelRow.name))
                return VersionRow.model_id.in_(models)
            case "run" | "flwr_run_id" as which:
                told = RunRow.name if which == "run" else RunRow.flwr_run_id
                runs = select(RunRow.id).where(self._holds(asked, told))
                return _present(VersionRow.run_id, VersionRow.run_id.in_(runs))
            case "node":
                return self._given_by(asked)
        if field.key is not None:
            return _exists(
                select(1).where(
                    MetricRow.version_id == VersionRow.id,
                    is_measure(field),
                    self._holds(asked, MetricRow.value),
                )
            )
        column = _IN_ROW[field.name]
        return _present(column, self._holds(asked, column))

    def _given_by(self, asked: Comparison) -> ColumnElement[bool]:
        if asked.operator == "=":
            asked = replace(asked, value=self.name_of(asked.value))
        elif asked.operator == "in":
            asked = replace(asked, value=tuple(map(self.name_of, asked.value)))
        return _exists(
            select(1).where(
                ContributionRow.round_id == VersionRow.round_id,
                self._holds(asked, ContributionRow.node_id),
            )
        )

    def _holds(self, asked: Comparison, column: Any) -> ColumnElement[bool]:
        match asked.operator:
            case "in":
                values = [_bound(value) for value in asked.value]
                return cast(ColumnElement[bool], column.in_(values))
            case "like" | "ilike":
                return matches(
                    column,
                    asked.value,
                    any_case=asked.operator == "ilike",
                    postgresql=self.postgresql,
                )
        compared = _COMPARE[asked.operator](column, _bound(asked.value))
        return cast(ColumnElement[bool], compared)


def is_measure(field: Field) -> ColumnElement[bool]:
    """Return whether a `MetricRow` is the metric that a field names."""
    if field.name == "metrics":
        return and_(MetricRow.name == field.key, MetricRow.best_source)
    return and_(MetricRow.name == field.key, MetricRow.source == field.name)


def _exists(rows: Select[Any]) -> ColumnElement[bool]:
    """Return whether a version has such rows, whatever its query joins to it."""
    return exists(rows.correlate(VersionRow))


def _numbered(asked: Comparison) -> ColumnElement[bool]:
    match asked.operator:
        case "in":
            return VersionRow.version.in_([str(version) for version in asked.value])
        case "=":
            return VersionRow.version == str(asked.value)
        case "!=":
            return VersionRow.version != str(asked.value)
    value = asked.value
    wanted = tuple_(*map(literal, (value.major, value.minor, value.patch)))
    compared = _COMPARE[asked.operator](tuple_(*NUMBER_PARTS), wanted)
    return cast(ColumnElement[bool], compared)


def _present(
    column: ColumnElement[Any] | Any, condition: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Make a condition on what may be missing false there, instead of unknown."""
    return and_(column.is_not(None), condition)


def _bound(value: Any) -> ColumnElement[Any]:
    """Return a value as a parameter of its own type, whatever the column has."""
    if isinstance(value, datetime):
        return literal(value, UtcDateTime())
    return literal(value, Double()) if isinstance(value, float) else literal(value)
