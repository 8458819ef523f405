"""The record of every change, each entry chained by hash to the one before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flwr_registry.registry.database.engines import is_postgresql
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import AuditRow
from flwr_registry.registry.rows.json_values import dump_json, plain_text, to_json

__all__ = ["FIRST_HASH", "AuditEntry", "append_entry", "read_entries", "verify_chain"]

FIRST_HASH = "0" * 64
"""What the first entry has in place of an earlier entry's hash."""

_LOCK = 0x666C7772_61756469


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change.

    Attributes
    ----------
    id : int
        Rises from entry to entry, with gaps.
    action : str
        The verb, such as ``register``.
    actor : str
        Who changed it.
    model : str
        The model that was changed.
    version : str or None
        The version that was changed.
    details : mapping
        JSON, differing by action.
    previous_hash, entry_hash : str
        SHA-256 of the entry before, and of this one.
    """

    id: int
    timestamp: datetime
    action: str
    actor: str
    model: str
    version: str | None
    reason: str
    details: Mapping[str, Any]
    previous_hash: str
    entry_hash: str

    def compute_hash(self) -> str:
        """SHA-256 over canonical JSON of the content and the hash before it."""
        content = {
            "timestamp": self.timestamp.astimezone(UTC).isoformat(),
            "action": self.action,
            "actor": self.actor,
            "model": self.model,
            "version": self.version,
            "reason": self.reason,
            "details": self.details,
            "previous_hash": self.previous_hash,
        }
        return hashlib.sha256(dump_json(content).encode()).hexdigest()


def append_entry(
    session: Session,
    *,
    action: str,
    actor: str,
    model: str,
    version: str | None = None,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry in the transaction of the change that it records."""
    if is_postgresql(session):
        # SQLite has one writer anyway.
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    newest = select(AuditRow.entry_hash).order_by(AuditRow.id.desc()).limit(1)
    row = AuditRow(
        timestamp=now(),
        action=action,
        actor=plain_text(actor),
        model=model,
        version=version,
        reason=plain_text(reason),
        details=to_json(details or {}),
        previous_hash=session.scalar(newest) or FIRST_HASH,
    )
    row.entry_hash = _entry(row, id=0, entry_hash="").compute_hash()
    session.add(row)
    session.flush()


def read_entries(session: Session) -> list[AuditEntry]:
    """All entries, oldest first."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.id))
    return [_entry(row, id=row.id, entry_hash=row.entry_hash) for row in rows]


def verify_chain(entries: Iterable[AuditEntry]) -> list[str]:
    """Find entries that were edited, removed, added or put elsewhere.

    A chain whose newest entries were removed is still a chain: keep the newest hash
    elsewhere to notice that.

    Parameters
    ----------
    entries : iterable of AuditEntry
        The whole log, oldest first.

    Returns
    -------
    list of str
        What is wrong, empty for a sound log.
    """
    problems, previous = [], FIRST_HASH
    for entry in entries:
        if entry.previous_hash != previous:
            problems.append(f"entry {entry.id} does not follow the one before it")
        if entry.compute_hash() != entry.entry_hash:
            problems.append(f"entry {entry.id} was edited")
        previous = entry.entry_hash
    return problems


def _entry(row: AuditRow, *, id: int, entry_hash: str) -> AuditEntry:
    return AuditEntry(
        id=id,
        timestamp=row.timestamp,
        action=row.action,
        actor=row.actor,
        model=row.model,
        version=row.version,
        reason=row.reason,
        details=row.details,
        previous_hash=row.previous_hash,
        entry_hash=entry_hash,
    )
