"""Where a version comes from and what came of it: one recursive query each way."""

from __future__ import annotations

from sqlalchemy import literal, select
from sqlalchemy.orm import Session, aliased

from flwr_registry.records import Lineage
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["ancestors_of", "descendants_of", "lineage_of"]


def lineage_of(session: Session, version: VersionRow) -> Lineage:
    """Return a version with all ancestors and all descendants."""
    return Lineage(
        version_record(version),
        tuple(map(version_record, ancestors_of(session, version.id))),
        tuple(map(version_record, descendants_of(session, version.id))),
    )


def ancestors_of(session: Session, version_id: int) -> list[VersionRow]:
    """Return the line from the parent to the root."""
    walk = (
        select(VersionRow.parent_id.label("id"), literal(1).label("distance"))
        .where(VersionRow.id == version_id)
        .cte("ancestors", recursive=True)
    )
    elder = aliased(VersionRow)
    walk = walk.union_all(
        select(elder.parent_id, walk.c.distance + 1).join(walk, elder.id == walk.c.id)
    )
    query = (
        select(VersionRow)
        .join(walk, VersionRow.id == walk.c.id)
        .order_by(walk.c.distance)
    )
    return list(session.scalars(query))


def descendants_of(session: Session, version_id: int) -> list[VersionRow]:
    """Return all that was trained from this version, directly or not, oldest first."""
    walk = (
        select(VersionRow.id)
        .where(VersionRow.parent_id == version_id)
        .cte("descendants", recursive=True)
    )
    younger = aliased(VersionRow)
    walk = walk.union_all(select(younger.id).join(walk, younger.parent_id == walk.c.id))
    query = (
        select(VersionRow)
        .join(walk, VersionRow.id == walk.c.id)
        .order_by(VersionRow.id)
    )
    return list(session.scalars(query))
