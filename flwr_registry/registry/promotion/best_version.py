"""The alias of the best version by a metric, of those that may be used."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from flwr_registry.metric_direction import Direction
from flwr_registry.records import ModelVersion
from flwr_registry.registry.promotion.labelling import (
    alias_row,
    delete_alias,
    point_alias,
)
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import MetricRow, VersionRow, is_trusted
from flwr_registry.registry.versions.queries import require_model
from flwr_registry.registry.versions.references import BEST
from flwr_registry.registry.versions.run_recording import hold_model

__all__ = ["name_best"]


def name_best(
    session: Session, model: str, metric: str, direction: Direction, actor: str
) -> ModelVersion | None:
    """Let the alias name the best version that is left, whatever it named before.

    Returns
    -------
    ModelVersion or None
        None where no version that may be used has the metric. Then the alias stays with
        what it names, unless that may not be used: then it goes.

    Raises
    ------
    ModelNotFoundError
        When the model is unknown.
    """
    model_id = require_model(session, model)
    hold_model(session, model)
    best = session.scalar(_ranked(model_id, metric, direction).limit(1))
    if best is not None:
        said = {"metric": metric, "mode": direction}
        point_alias(session, best, BEST, actor, said)
        return version_record(best)
    known = alias_row(session, model_id, BEST)
    if known is not None:
        usable = _usable(model_id).where(VersionRow.id == known.version_id)
        if session.scalar(usable) is None:
            delete_alias(session, model, BEST, actor)
    return None


def _ranked(model_id: int, metric: str, direction: Direction) -> Select[VersionRow]:
    """Select what may be used, the best first; of equal ones the older stays."""
    value = MetricRow.value.expression
    return (
        _usable(model_id)
        .join(MetricRow, MetricRow.version_id == VersionRow.id)
        .where(
            MetricRow.model_id == model_id,
            MetricRow.name == metric,
            MetricRow.best_source,
        )
        .order_by(value.desc() if direction == "max" else value.asc(), VersionRow.id)
    )


def _usable(model_id: int) -> Select[VersionRow]:
    return select(VersionRow).where(
        VersionRow.model_id == model_id,
        is_trusted(),
        VersionRow.bytes_removed_at.is_(None),
    )
