"""Who was in production when, by whom, and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from flwr_registry.records import ModelVersion, Promotion
from flwr_registry.registry.rows.governance_db import PromotionRow
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.queries import require_model

__all__ = ["list_promotions", "production_at"]


def list_promotions(session: Session, model: str) -> list[Promotion]:
    """List the changes of a model's production version, newest first.

    Raises
    ------
    ModelNotFoundError
        When the model is unknown.
    """
    before, after = aliased(VersionRow), aliased(VersionRow)
    query = (
        select(PromotionRow, before.version, after.version)
        .outerjoin(before, before.id == PromotionRow.from_version_id)
        .outerjoin(after, after.id == PromotionRow.to_version_id)
        .where(PromotionRow.model_id == require_model(session, model))
        .order_by(PromotionRow.sequence.desc())
    )
    return [
        Promotion(
            model=model,
            sequence=row.sequence,
            action=row.action,
            from_version=from_version,
            to_version=to_version,
            reverted=row.reverted,
            actor=row.actor,
            reason=row.reason,
            created_at=row.created_at,
        )
        for row, from_version, to_version in session.execute(query)
    ]


def production_at(session: Session, model: str, time: datetime) -> ModelVersion | None:
    """Return what was in production at a time, as it is now; None for nothing.

    Raises
    ------
    ModelNotFoundError
        When the model is unknown.
    ValueError
        For a time without a time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone: use datetime.now(UTC)")
    last = session.scalar(_until(require_model(session, model), time))
    if last is None or last.to_version_id is None:
        return None
    return version_record(session.get_one(VersionRow, last.to_version_id))


def _until(model_id: int, time: datetime) -> Select[PromotionRow]:
    """Select the last change up to a time; where clocks differ, the sequence rules."""
    return (
        select(PromotionRow)
        .where(PromotionRow.model_id == model_id, PromotionRow.created_at <= time)
        .order_by(PromotionRow.sequence.desc())
        .limit(1)
    )
