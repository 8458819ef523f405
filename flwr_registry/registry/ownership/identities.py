"""What a database is to its storage root."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.identity_db import IdentityRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["Identity", "find_identity", "found_anew", "make_identity", "set_registry"]

_ONLY = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What a database knows of itself.

    Attributes
    ----------
    registry_id : str
        The registry whose root it writes to; empty before it wrote to any.
    database_id : str
        Its own; the same where it was the first in its root.
    has_past : bool
        It has versions.
    """

    registry_id: str
    database_id: str
    has_past: bool


def find_identity(session: Session) -> Identity:
    """Return what the database knows of itself."""
    row = session.get(IdentityRow, _ONLY)
    has_past = session.scalar(select(VersionRow.id).limit(1)) is not None
    if row is None:
        return Identity("", "", has_past)
    return Identity(row.registry_id, row.database_id, has_past)


def make_identity(session: Session) -> Identity:
    """Return what the database knows of itself, made now if it was nothing."""
    if session.get(IdentityRow, _ONLY) is None:
        own = str(uuid.uuid4())
        # Another process may make it in between; only PostgreSQL lets it.
        with suppress(ConstraintError), session.begin_nested():
            session.add(IdentityRow(id=_ONLY, registry_id=own, database_id=own))
    return find_identity(session)


def set_registry(session: Session, registry_id: str) -> None:
    """Let the database, which has an identity, write to another registry's root."""
    query = select(IdentityRow).where(IdentityRow.id == _ONLY).with_for_update()
    session.scalars(query).one().registry_id = registry_id


def found_anew(session: Session) -> Identity:
    """Make the database a registry that no other database knows."""
    make_identity(session)
    query = select(IdentityRow).where(IdentityRow.id == _ONLY).with_for_update()
    row = session.scalars(query).one()
    row.registry_id = row.database_id = str(uuid.uuid4())
    session.flush()
    return find_identity(session)
