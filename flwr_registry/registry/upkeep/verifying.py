"""Holding stored bytes against the digests that were registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flwr_registry.errors import (
    IntegrityError,
    ObjectNotFoundError,
    ObjectUnreadableError,
)
from flwr_registry.records import (
    BytesState,
    ModelVersion,
    Verification,
    VerificationSummary,
)
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.queries import find_record, require_model
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import verify_stored

__all__ = ["Progress", "verify", "verify_all"]

Progress = Callable[[int, int], None]

_PAGE = 200


def verify(storage: StorageBackend, reference: str) -> Steps[Verification]:
    """Verify the bytes of one version, and note when they are damaged or mended.

    Raises
    ------
    ModelNotFoundError
        When the version is unknown.
    StorageError
        When the storage does not answer: that says nothing about the bytes.
    """
    wanted = parse_reference(reference)
    version = yield from read(lambda session: find_record(session, wanted))
    return (yield from _verified(storage, version))


def verify_all(
    storage: StorageBackend, model: str | None, progress: Progress | None
) -> Steps[VerificationSummary]:
    """Verify the bytes of all versions that have some, oldest first."""
    total = yield from read(lambda session: _count(session, model))
    checked, last, problems = 0, 0, []
    while versions := (yield from read(partial(_page, model=model, after=last))):
        for version in versions:
            found = yield from _verified(storage, version)
            checked += 1
            if found.problem:
                problems.append(found)
            if progress is not None:
                progress(checked, max(total, checked))
        last = versions[-1].id
    return VerificationSummary(checked, tuple(problems))


def _verified(storage: StorageBackend, version: ModelVersion) -> Steps[Verification]:
    place = f"{storage.url}/{version.storage_path}"
    found = Verification(version.reference, place, BytesState.SOUND)
    if version.bytes_removed_at is not None:
        return replace(found, state=BytesState.REMOVED)
    try:
        yield from byte_work(lambda: verify_stored(storage, version.stored))
    except ObjectNotFoundError as error:
        found = replace(found, state=BytesState.MISSING, problem=str(error))
    except IntegrityError as error:
        found = replace(found, state=BytesState.DAMAGED, problem=str(error))
    except ObjectUnreadableError as error:
        # That says nothing about the bytes.
        return replace(found, state=BytesState.UNREADABLE, problem=str(error))
    if bool(found.problem) != (version.damaged_at is not None):
        yield from write(lambda session: _note(session, version, found))
    return found


def _note(session: Session, version: ModelVersion, found: Verification) -> None:
    hold_model(session, version.model)
    row = session.get_one(VersionRow, version.id)
    if row.bytes_removed_at is not None:
        return
    row.damaged_at = now() if found.problem else None
    append_entry(
        session,
        action="verify_failed" if found.problem else "verify_recovered",
        actor=current_actor(None),
        model=version.model,
        version=version.version,
        details={
            "state": found.state.value,
            "problem": found.problem,
            "at": row.damaged_at,
        },
    )


def _count(session: Session, model: str | None) -> int:
    query = select(func.count()).where(VersionRow.bytes_removed_at.is_(None))
    if model is not None:
        query = query.where(VersionRow.model_id == require_model(session, model))
    return session.scalar(query.select_from(VersionRow)) or 0


def _page(session: Session, *, model: str | None, after: int) -> list[ModelVersion]:
    query = (
        select(VersionRow)
        .where(VersionRow.id > after, VersionRow.bytes_removed_at.is_(None))
        .order_by(VersionRow.id)
        .limit(_PAGE)
    )
    if model is not None:
        query = query.where(VersionRow.model_id == require_model(session, model))
    return [version_record(row) for row in session.scalars(query)]
