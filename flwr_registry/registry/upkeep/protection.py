"""Which versions keep their bytes whatever a policy says, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session, aliased

from flwr_registry.registry.rows.governance_db import AliasRow, PromotionRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.upkeep.checkpoint_needs import NeededKeys

__all__ = ["reasons_to_stay"]


def reasons_to_stay(
    session: Session, candidates: Collection[int], needed: NeededKeys
) -> Iterator[tuple[VersionRow, tuple[str, ...]]]:
    """Give those candidates that have bytes, oldest first, and what needs the bytes.

    Needed are versions that are or ever were in production, aliases, pins, roots, the
    newest sound version of a model and of each run, and what checkpoints need. Nothing
    needs the others: for them there is no reason.

    Parameters
    ----------
    needed : NeededKeys
        What checkpoints need.
    """
    conditions = _conditions()
    query = (
        select(VersionRow, *conditions.values())
        .where(VersionRow.id.in_(candidates), VersionRow.bytes_removed_at.is_(None))
        .order_by(VersionRow.id)
    )
    aliases = _aliases(session, candidates)
    for row, *found in session.execute(query):
        reasons = [
            reason.format(run=row.run.name if row.run else "")
            for reason, holds in zip(conditions, found, strict=True)
            if holds
        ]
        reasons += [
            f"it is {row.model.name}@{name}" for name in aliases.get(row.id, ())
        ]
        yield row, (*reasons, *needed.reasons(row.storage_path))


def _conditions() -> Mapping[str, ColumnElement[bool]]:
    """Give what keeps a version's bytes, by the words for it."""
    was_in_production = exists().where(
        PromotionRow.model_id == VersionRow.model_id,
        or_(
            PromotionRow.from_version_id == VersionRow.id,
            PromotionRow.to_version_id == VersionRow.id,
        ),
    )
    sound = VersionRow.status != "failed"
    of_a_run = VersionRow.run_id.is_not(None)
    return {
        "it is in production": VersionRow.is_production.is_(True),
        "it was in production": ~VersionRow.is_production & was_in_production,
        "it is pinned": VersionRow.pinned.is_(True),
        "it is a root": VersionRow.parent_id.is_(None),
        "it is the newest sound version of its model": sound
        & ~_has_newer(of_run=False),
        "it is the newest sound version of run {run}": sound
        & of_a_run
        & ~_has_newer(of_run=True),
    }


def _aliases(session: Session, candidates: Collection[int]) -> Mapping[int, list[str]]:
    query = (
        select(AliasRow.version_id, AliasRow.alias)
        .where(AliasRow.version_id.in_(candidates))
        .order_by(AliasRow.alias)
    )
    found: dict[int, list[str]] = {}
    for version_id, alias in session.execute(query):
        found.setdefault(version_id, []).append(alias)
    return found


def _has_newer(*, of_run: bool) -> ColumnElement[bool]:
    newer = aliased(VersionRow)
    same = (
        newer.run_id == VersionRow.run_id
        if of_run
        else newer.model_id == VersionRow.model_id
    )
    return exists().where(same, newer.id > VersionRow.id, newer.status != "failed")
