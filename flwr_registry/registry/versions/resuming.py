"""Going on with a run that was interrupted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.errors import ResumeError
from flwr_registry.records import Lease, Run, RunProvenance, StoredObject
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.rebuilding import lacks_versions, restore_run
from flwr_registry.registry.versions.run_recording import hold_model, start_run
from flwr_registry.registry.versions.stored_bytes import stored_weights
from flwr_registry.registry.versions.told_versions import (
    match_versions,
    row_of_weights,
)
from flwr_registry.storage import StorageBackend

__all__ = ["resume_run", "start_run_again"]


def start_run_again(
    session: Session, provenance: RunProvenance, lease: Lease | None = None
) -> Run:
    """Record a start of a run that has no checkpoint to go on from.

    What earlier starts of the run registered is marked superseded: it is trained again.

    Raises
    ------
    FencedError
        When a newer start than that of the lease has begun.
    """
    run = start_run(session, provenance, lease)
    query = _of_run(run).where(~VersionRow.superseded).order_by(VersionRow.id)
    superseded = _supersede(session, list(session.scalars(query)))
    if superseded:
        append_entry(
            session,
            action="start_again",
            actor="flwr-registry",
            model=provenance.model,
            details={"run": run.id, "name": provenance.name, "superseded": superseded},
        )
    return run


def resume_run(
    storage: StorageBackend,
    provenance: RunProvenance,
    content: CheckpointContent,
    lease: Lease | None = None,
) -> Steps[Run]:
    """Record a start of a run that goes on from a checkpoint.

    Rows that the database lacks are written from the checkpoint. What earlier starts of
    the run trained from the same version after that round is marked superseded: it is
    trained again.

    Raises
    ------
    ResumeError
        When the checkpoint tells of versions that are other ones here.
    FencedError
        When a newer start than that of the lease has begun.
    """
    stored: frozenset[str] = frozenset()
    if (yield from read(partial(lacks_versions, content=content))):
        stored = yield from byte_work(partial(stored_weights, storage))
    return (
        yield from write(
            lambda session: _resume(session, provenance, content, lease, stored)
        )
    )


def _resume(
    session: Session,
    provenance: RunProvenance,
    content: CheckpointContent,
    lease: Lease | None,
    stored: Collection[str],
) -> Run:
    _check_weights(session, content)
    restored = restore_run(session, content, stored=stored)
    run = start_run(session, provenance, lease)
    superseded = _supersede(session, _abandoned(session, run, content))
    append_entry(
        session,
        action="resume_run",
        actor="flwr-registry",
        model=provenance.model,
        version=content.version,
        details={
            "run": run.id,
            "name": provenance.name,
            "after_round": content.server_round,
            "superseded": superseded,
            "restored": restored,
        },
    )
    return run


def _check_weights(session: Session, content: CheckpointContent) -> None:
    """See that the version that a checkpoint goes on from has its digest."""
    weights = content.weights
    if content.version is None or not isinstance(weights, StoredObject):
        return
    model_id = hold_model(session, content.model)
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.version == content.version
    )
    row = session.scalar(query)
    if row is None or row.checksum == weights.sha256:
        return
    is_told = any(each.version == content.version for each in content.rounds.values())
    if is_told or row_of_weights(session, content) is not None:
        return
    raise ResumeError(
        f"the checkpoint of round {content.server_round} goes on from {content.model}:"
        f"{content.version} with the digest {weights.sha256[:12]}, but the registry "
        f"has it with {row.checksum[:12]}: the checkpoint is not of this registry"
    )


def _supersede(session: Session, rows: Sequence[VersionRow]) -> list[str]:
    if rows:
        session.execute(
            update(VersionRow)
            .where(VersionRow.id.in_([row.id for row in rows]))
            .values(superseded=True)
        )
    return [row.version for row in rows]


def _of_run(run: Run) -> Select[VersionRow]:
    """Versions that earlier starts of a run registered."""
    model_id = select(RunRow.model_id).where(RunRow.id == run.id).scalar_subquery()
    return (
        select(VersionRow)
        .join(RunRow, RunRow.id == VersionRow.run_id)
        .where(
            RunRow.name == run.provenance.name,
            RunRow.model_id == model_id,
            RunRow.id != run.id,
            ~RunRow.imported,
        )
    )


def _abandoned(
    session: Session, run: Run, content: CheckpointContent
) -> list[VersionRow]:
    """Find what came of a checkpoint in later rounds of the same experiment."""
    later = (
        _of_run(run)
        .join(RoundRow, RoundRow.id == VersionRow.round_id)
        .where(RoundRow.server_round > content.server_round, ~VersionRow.superseded)
        .order_by(VersionRow.id)
    )
    origin = _origin(session, content)
    # Nothing registered so far: what has no parent comes of no other checkpoint.
    first = (
        [row.id for row in session.scalars(later.where(VersionRow.parent_id.is_(None)))]
        if origin is None
        else [origin.id]
    )
    line = select(VersionRow.id).where(VersionRow.id.in_(first)).cte(recursive=True)
    line = line.union(
        select(VersionRow.id)
        .join(line, VersionRow.parent_id == line.c.id)
        .join(RunRow, RunRow.id == VersionRow.run_id)
        .where(RunRow.name == run.provenance.name, ~RunRow.imported)
    )
    return list(session.scalars(later.join(line, line.c.id == VersionRow.id)))


def _origin(session: Session, content: CheckpointContent) -> VersionRow | None:
    """Return the version that a checkpoint holds, else the last one before it."""
    row = row_of_weights(session, content)
    if row is not None:
        return row
    model_id = hold_model(session, content.model)
    found = match_versions(session, model_id, content).found
    sound = [number for number in found if not content.rounds[number].errors]
    return found[max(sound)] if sound else None
