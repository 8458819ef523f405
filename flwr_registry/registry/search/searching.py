"""Finding versions by an expression, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select, true
from sqlalchemy.orm import Session

from flwr_registry.errors import ModelNotFoundError, SearchError, did_you_mean
from flwr_registry.records import Page
from flwr_registry.registry.database.engines import is_postgresql
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import MetricRow, VersionRow
from flwr_registry.registry.search.conditions import Conditions, is_measure
from flwr_registry.registry.search.expressions import Expression, fields_of
from flwr_registry.registry.search.fields import Field
from flwr_registry.registry.search.ordering import Order, Place
from flwr_registry.registry.search.parser import parse_expression
from flwr_registry.registry.search.tokens import search_error
from flwr_registry.registry.versions.queries import list_models
from flwr_registry.registry.versions.references import describe_missing_model

__all__ = ["MAX_PAGE_SIZE", "Search"]

MAX_PAGE_SIZE = 10_000
_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Search:
    """A search that was read and makes sense by itself.

    Attributes
    ----------
    model : str or None
        Only versions of this model.
    page_size : int
        At most so many versions on a page.
    after : Place or None
        Where the page before ended.
    """

    text: str
    expression: Expression
    model: str | None
    order_text: str
    order: Order
    page_size: int
    after: Place | None

    @classmethod
    def checked(
        cls,
        text: str,
        *,
        model: str | None,
        order_by: str,
        page_size: int,
        page_token: str | None,
    ) -> Search:
        """Read what a caller wants to find.

        Raises
        ------
        SearchError
            For an expression, order, size or token that makes no sense.
        """
        if not 1 <= page_size <= MAX_PAGE_SIZE:
            raise SearchError(
                f"a page has 1 to {MAX_PAGE_SIZE} versions, not {page_size}"
            )
        order = Order.parse(order_by)
        after = None
        if page_token is not None:
            place = Place.of_token(page_token, text, model, order_by)
            after = order.check_place(place)
        expression = parse_expression(text, now())
        return cls(text, expression, model, order_by, order, page_size, after)

    def page(self, session: Session, name_of: Callable[[str], str]) -> Page:
        """Find the versions of one page.

        Parameters
        ----------
        name_of : callable
            Gives the recorded name of a node.

        Raises
        ------
        ModelNotFoundError
            When there is no such model.
        SearchError
            For a metric or a tag that no version has; the message lists those known.
        """
        conditions = Conditions(is_postgresql(session), name_of)
        model = _model_condition(session, self.model)
        known = _Known(session, conditions, model, self.model)
        known.check(self.text, fields_of(self.expression))
        if self.order.field is not None:
            known.check(self.order_text, iter([self.order.field]))
        query = select(VersionRow).where(model, conditions.of(self.expression))
        query = self.order.applied(query, self.after).limit(self.page_size + 1)
        found = session.execute(query).all()
        shown = found[: self.page_size]
        token = None
        if len(found) > len(shown):
            last = shown[-1]
            place = Place(tuple(last[1:]), last[0].id)
            token = place.token(self.text, self.model, self.order_text)
        return Page(tuple(version_record(row) for row, *_ in shown), token)


@dataclass(frozen=True, slots=True)
class _Known:
    """The metrics and tags that there are."""

    session: Session
    conditions: Conditions
    model: ColumnElement[bool]
    model_name: str | None

    def check(self, text: str, fields: Iterator[Field]) -> None:
        """Raise for a metric or tag that no version has."""
        for field in fields:
            if field.key is None:
                continue
            is_tag = field.name == "tags"
            if self._has_tag(field) if is_tag else self._has_metric(field):
                continue
            names = self._tags() if is_tag else self._metrics(field)
            what = "tag" if is_tag else "finite metric"
            source = "" if field.name in {"tags", "metrics"} else f" from {field.name}"
            of = f" of {self.model_name}" if self.model_name else ""
            near = did_you_mean(str(field.key), names)
            problem = f"no version{of} has a {what} {field.key!r}{source}; {near}"
            raise search_error(text, field.start, field.end, problem)

    def _has_tag(self, field: Field) -> bool:
        tag = self.conditions.tags()
        has = exists(select(1).select_from(tag).where(tag.c.key == field.key))
        query = select(VersionRow.id).where(self.model, has).limit(1)
        return self.session.scalar(query) is not None

    def _has_metric(self, field: Field) -> bool:
        # Model by model, since the index of metrics begins with the model.
        has = exists(
            select(1).where(MetricRow.model_id == ModelRow.id, is_measure(field))
        )
        wanted = ModelRow.name == self.model_name if self.model_name else true()
        query = select(ModelRow.id).where(wanted, has).limit(1)
        return self.session.scalar(query) is not None

    def _tags(self) -> list[str]:
        tag = self.conditions.tags()
        query = select(tag.c.key).select_from(VersionRow).join(tag, true())
        query = query.where(self.model).distinct().order_by(tag.c.key).limit(_LISTED)
        return list(self.session.scalars(query))

    def _metrics(self, field: Field) -> list[str]:
        query = select(MetricRow.name).distinct().order_by(MetricRow.name)
        if field.name != "metrics":
            query = query.where(MetricRow.source == field.name)
        if self.model_name is not None:
            models = select(ModelRow.id).where(ModelRow.name == self.model_name)
            query = query.where(MetricRow.model_id == models.scalar_subquery())
        return list(self.session.scalars(query.limit(_LISTED)))


def _model_condition(session: Session, name: str | None) -> ColumnElement[bool]:
    if name is None:
        return true()
    model_id = session.scalar(select(ModelRow.id).where(ModelRow.name == name))
    if model_id is None:
        message = describe_missing_model(name, list_models(session))
        raise ModelNotFoundError(message, reference=name)
    return VersionRow.model_id == model_id
