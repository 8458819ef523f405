"""Moving a model's production version, in one transaction each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flwr_registry.records import VersionStatus
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import PromotionRow
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["move_production", "production_row", "way_back"]


def production_row(session: Session, model_id: int) -> VersionRow | None:
    """Return the production version of a model that is held."""
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.is_production
    )
    return session.scalar(query)


def way_back(session: Session, model_id: int) -> list[PromotionRow]:
    """Return the changes that a rollback goes back over, newest first."""
    query = (
        select(PromotionRow)
        .where(PromotionRow.model_id == model_id, ~PromotionRow.reverted)
        .order_by(PromotionRow.sequence.desc())
    )
    return list(session.scalars(query))


def move_production(
    session: Session,
    *,
    action: str,
    model_id: int,
    to: VersionRow | None,
    reverted: bool,
    actor: str,
    reason: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Demote what is in production, put `to` there, and write both down.

    The caller holds the model, and has checked that `to` may be in production.

    Parameters
    ----------
    reverted : bool
        No rollback shall go back over this change.
    """
    current, at = production_row(session, model_id), now()
    left = None
    if current is not None:
        current.is_production = False
        # Metrics that cast doubt on it may have come while it was in production.
        doubtful = bool(current.validation_errors)
        left = (VersionStatus.FAILED if doubtful else VersionStatus.ARCHIVED).value
        current.status, current.archived_at = left, at
        # The index allows one production version at every moment.
        session.flush()
    if to is not None:
        to.is_production = True
        to.status = VersionStatus.ACTIVE.value
        to.promoted_at, to.archived_at = at, None
    newest = select(func.max(PromotionRow.sequence)).where(
        PromotionRow.model_id == model_id
    )
    session.add(
        PromotionRow(
            model_id=model_id,
            sequence=(session.scalar(newest) or 0) + 1,
            action=action,
            from_version_id=current.id if current else None,
            to_version_id=to.id if to else None,
            reverted=reverted,
            actor=actor,
            reason=plain_text(reason),
            created_at=at,
        )
    )
    session.flush()
    moved = to or current
    if moved is not None:
        append_entry(
            session,
            action=action,
            actor=actor,
            model=moved.model.name,
            version=moved.version,
            reason=reason,
            details={
                "from": current.version if current else None,
                "to": to.version if to else None,
                "left": left,
                "at": at,
                **(details or {}),
            },
        )
