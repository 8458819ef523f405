"""Which versions keep their bytes whatever a policy says."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session, aliased

from flwr_registry.registry.rows.governance_db import AliasRow, PromotionRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["unprotected"]


def unprotected(
    session: Session, candidates: Collection[int], resume_points: frozenset[str]
) -> list[VersionRow]:
    """Return those candidates that have bytes and that nothing needs, oldest first.

    Needed are production and what a rollback can go back to, aliases, pins, roots, the
    newest sound version of a model and of each run, and what a checkpoint goes on from.

    Parameters
    ----------
    resume_points : frozenset of str
        Keys of the weights from which checkpoints go on.
    """
    on_way_back = exists().where(
        ~PromotionRow.reverted,
        PromotionRow.model_id == VersionRow.model_id,
        or_(
            PromotionRow.from_version_id == VersionRow.id,
            PromotionRow.to_version_id == VersionRow.id,
        ),
    )
    query = (
        select(VersionRow)
        .where(
            VersionRow.id.in_(candidates),
            VersionRow.bytes_removed_at.is_(None),
            ~VersionRow.is_production,
            ~VersionRow.pinned,
            VersionRow.parent_id.is_not(None),
            ~exists().where(AliasRow.version_id == VersionRow.id),
            ~on_way_back,
            or_(VersionRow.status == "failed", _has_newer(of_run=False)),
            or_(
                VersionRow.status == "failed",
                VersionRow.run_id.is_(None),
                _has_newer(of_run=True),
            ),
        )
        .order_by(VersionRow.id)
    )
    rows = session.scalars(query)
    return [row for row in rows if row.storage_path not in resume_points]


def _has_newer(*, of_run: bool) -> ColumnElement[bool]:
    newer = aliased(VersionRow)
    same = (
        newer.run_id == VersionRow.run_id
        if of_run
        else newer.model_id == VersionRow.model_id
    )
    return exists().where(same, newer.id > VersionRow.id, newer.status != "failed")
