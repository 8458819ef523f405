"""The record of every change, each entry chained by hash to the one before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flwr_registry.canonical_json import canonical_json, interoperable
from flwr_registry.errors import DatabaseError
from flwr_registry.registry.database.engines import is_postgresql
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import AuditRow
from flwr_registry.registry.rows.json_values import dump_json, plain_text, to_json
from flwr_registry.registry.rows.raw_rows import (
    FIRST,
    UNSOUND_VALUE,
    RawRow,
    raw_newest,
    raw_page,
)

__all__ = [
    "FIRST_HASH",
    "RFC_8785",
    "AuditCheck",
    "AuditEntry",
    "append_entry",
    "entry_line",
    "hold_audit_log",
    "list_entries",
    "read_entries",
    "verify_chain",
]

FIRST_HASH = "0" * 64
"""What the first entry has in place of an earlier entry's hash."""

RFC_8785 = "rfc8785"
"""The form that entries are hashed in: JSON as RFC 8785 has it."""

_LOCK = 0x666C7772_61756469
_FORM = "_form"
_ALL = 2**62
_NEVER = datetime.min.replace(tzinfo=UTC)
_TEXTS = ("action", "actor", "model", "reason", "previous_hash", "entry_hash")
_TABLE = AuditRow.metadata.tables[AuditRow.__tablename__]


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
    form : str
        How the content is written to be hashed: ``rfc8785``, or nothing for entries of
        earlier releases, in the form of Python's ``json.dumps`` with sorted names.
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
    form: str = ""

    def content(self) -> dict[str, Any]:
        """Return what the hash is computed over."""
        form = {"form": self.form} if self.form else {}
        return {
            **form,
            "timestamp": self.timestamp.astimezone(UTC).isoformat(),
            "action": self.action,
            "actor": self.actor,
            "model": self.model,
            "version": self.version,
            "reason": self.reason,
            "details": dict(self.details),
            "previous_hash": self.previous_hash,
        }

    def compute_hash(self) -> str:
        """SHA-256 over canonical JSON of the content and the hash before it.

        Raises
        ------
        ValueError
            For a form that this release does not know, or content that has none.
        """
        if self.form == RFC_8785:
            return hashlib.sha256(canonical_json(self.content())).hexdigest()
        if self.form:
            raise ValueError(f"its form is {self.form!r}: upgrade flwr-registry")
        return hashlib.sha256(dump_json(self.content()).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class UnreadableEntry(AuditEntry):
    """An entry that somebody edited into what nothing writes.

    Attributes
    ----------
    problem : str
        What cannot be read; other fields are as they are in the log.
    """

    problem: str = ""

    def content(self) -> dict[str, Any]:
        """Raise `DatabaseError`: what the entry was is lost."""
        raise DatabaseError(
            f"entry {self.id} of the audit log was edited ({self.problem}): restore "
            "the database from a backup"
        )

    def compute_hash(self) -> str:
        """Raise `ValueError`: what the entry was is lost."""
        raise ValueError(self.problem)


def hold_audit_log(session: Session) -> None:
    """Let no other transaction append an entry until this one ends."""
    if is_postgresql(session):
        # SQLite has one writer anyway.
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


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
    hold_audit_log(session)
    newest = select(AuditRow.entry_hash).order_by(AuditRow.id.desc()).limit(1)
    row = AuditRow(
        timestamp=now(),
        action=action,
        actor=plain_text(actor),
        model=model,
        version=version,
        reason=plain_text(reason),
        details={**interoperable(to_json(details or {})), _FORM: RFC_8785},
        previous_hash=session.scalar(newest) or FIRST_HASH,
    )
    row.entry_hash = _entry(row).compute_hash()
    session.add(row)
    session.flush()


def read_entries(
    session: Session, *, after_id: int = FIRST, limit: int | None = None
) -> list[AuditEntry]:
    """Entries in their order, oldest first.

    Parameters
    ----------
    after_id : int
        Only those after this one.
    limit : int, optional
        At most so many.
    """
    most = _ALL if limit is None else limit
    rows = raw_page(session, _TABLE, after=after_id, limit=most)
    return [_read(row) for row in rows]


def list_entries(
    session: Session, *, model: str | None, action: str | None, limit: int | None
) -> list[AuditEntry]:
    """Entries of a model, of an action, or all of them, newest first."""
    asked = {"model": model, "action": action}
    wanted = {name: value for name, value in asked.items() if value is not None}
    rows = raw_newest(session, _TABLE, wanted, limit=_ALL if limit is None else limit)
    return [_read(row) for row in rows]


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What going over the audit log found.

    Attributes
    ----------
    entries : int
        How many there are.
    newest_hash : str
        Of the last one: kept elsewhere, it shows later that none was cut off.
    problems : tuple of str
        Empty for a sound log.
    """

    entries: int = 0
    newest_hash: str = FIRST_HASH
    problems: tuple[str, ...] = ()

    def extended(self, entries: Iterable[AuditEntry]) -> AuditCheck:
        """Go on with the entries that follow."""
        count, previous, problems = self.entries, self.newest_hash, [*self.problems]
        for entry in entries:
            if entry.previous_hash != previous:
                problems.append(f"entry {entry.id} does not follow the one before it")
            problems += _edited(entry)
            count, previous = count + 1, entry.entry_hash
        return AuditCheck(count, previous, tuple(problems))


def _edited(entry: AuditEntry) -> list[str]:
    try:
        is_sound = entry.compute_hash() == entry.entry_hash
    except UNSOUND_VALUE as error:
        return [f"entry {entry.id} cannot be checked: {error}"]
    return [] if is_sound else [f"entry {entry.id} was edited"]


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
    return list(AuditCheck().extended(entries).problems)


def entry_line(entry: AuditEntry) -> str:
    """Return an entry as one line of JSON, from which its hash can be recomputed."""
    id, hashed = {"id": entry.id}, {"entry_hash": entry.entry_hash}
    line = dump_json({**id, **entry.content(), **hashed})
    return line.replace("\x7f", "\\u007f")


def _read(row: RawRow) -> AuditEntry:
    told = row.values
    details = dict(told.get("details", {}))
    form = details.pop(_FORM, "")
    values = {
        "id": row.id,
        "timestamp": told.get("timestamp", _NEVER),
        "details": details,
        "version": told.get("version"),
        "form": form if isinstance(form, str) else "?",
        **{name: told.get(name, "") for name in _TEXTS},
    }
    if row.problems:
        return UnreadableEntry(**values, problem="; ".join(row.problems))
    return AuditEntry(**values)


def _entry(row: AuditRow) -> AuditEntry:
    """Return what a new row is hashed as."""
    details = dict(row.details)
    form = details.pop(_FORM, "")
    return AuditEntry(
        id=0,
        timestamp=row.timestamp,
        action=row.action,
        actor=row.actor,
        model=row.model,
        version=row.version,
        reason=row.reason,
        details=details,
        previous_hash=row.previous_hash,
        entry_hash="",
        form=form,
    )
