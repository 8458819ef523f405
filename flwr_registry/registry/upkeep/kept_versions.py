"""The versions of a model as retention policies see them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import MetricRow, VersionRow, is_trusted
from flwr_registry.registry.versions.queries import require_model
from flwr_registry.retention import Kept

__all__ = ["models_of", "stored_items"]


def models_of(session: Session, model: str | None) -> dict[str, int]:
    """Return the wanted models, or all, with their ids.

    Raises
    ------
    ModelNotFoundError
        When the wanted one is unknown.
    """
    if model is not None:
        return {model: require_model(session, model)}
    query = select(ModelRow.name, ModelRow.id).order_by(ModelRow.name)
    return {name: model_id for name, model_id in session.execute(query)}


def stored_items(session: Session, model_id: int) -> list[Kept]:
    """List the versions of a model that have bytes."""
    metrics = _metrics(session, model_id)
    query = select(
        VersionRow.id,
        VersionRow.total_rounds,
        VersionRow.created_at,
        VersionRow.pinned,
        is_trusted(),
    ).where(VersionRow.model_id == model_id, VersionRow.bytes_removed_at.is_(None))
    return [
        Kept(
            id,
            total_rounds or None,
            created_at,
            metrics.get(id, {}),
            pinned,
            bool(trusted),
        )
        for id, total_rounds, created_at, pinned, trusted in session.execute(query)
    ]


def _metrics(session: Session, model_id: int) -> Mapping[int, dict[str, float]]:
    query = select(MetricRow.version_id, MetricRow.name, MetricRow.value).where(
        MetricRow.model_id == model_id, MetricRow.best_source
    )
    found: dict[int, dict[str, float]] = {}
    for version_id, name, value in session.execute(query):
        found.setdefault(version_id, {})[name] = value
    return found
