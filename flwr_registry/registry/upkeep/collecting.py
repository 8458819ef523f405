"""Garbage collection: a tombstone first, committed, then the bytes.

A crash in between leaves bytes that nothing refers to, never a reference to no bytes.
Only bytes are removed that a version or a registration of this database wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from flwr_registry.checkpointing import each_manifest
from flwr_registry.records import Collection, RemovedBytes
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.upkeep.abandoned_uploads import (
    AbandonedUpload,
    find_abandoned,
    forget,
    left_by,
    take_over,
)
from flwr_registry.registry.upkeep.checkpoint_needs import (
    NeededKeys,
    needed_keys,
    read_needs,
)
from flwr_registry.registry.upkeep.kept_versions import models_of, stored_items
from flwr_registry.registry.upkeep.protection import reasons_to_stay
from flwr_registry.registry.upkeep.stored_files import (
    Owner,
    batches,
    hold_models_of,
    owners,
    sorted_files,
)
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.retention import RetentionPolicy, removed_by
from flwr_registry.storage import StorageBackend, SweepingStorage

__all__ = ["GarbageRequest", "collect_garbage"]

_VERSIONS_AT_ONCE = 500
_FILES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class GarbageRequest:
    """What a caller wants collected."""

    policy: RetentionPolicy | None
    model: str | None
    dry_run: bool
    grace_seconds: float
    actor: str


def collect_garbage(
    storage: StorageBackend, request: GarbageRequest
) -> Steps[Collection]:
    """Remove what a policy gives up, and what crashes left."""
    uploads = yield from _abandoned_uploads(request)
    given_up = yield from read(lambda session: _given_up(session, request))
    files = yield from sorted_files(storage, without=_ids(uploads))
    # Read after versions and files: what a later checkpoint needs is none of them.
    needs = yield from byte_work(lambda: read_needs(each_manifest(storage)))
    needed = yield from read(lambda session: needed_keys(session, needs))
    removed = yield from _bury_all(given_up, needed, request)
    buried = {each.key for each in removed}
    orphans = [
        RemovedBytes(None, file.key, file.size_bytes)
        for file, owner in files
        if file.key not in buried
        and not needed.reasons(file.key)
        and (
            owner is Owner.REMOVED_VERSION
            or (owner is Owner.UNKNOWN and left_by(uploads, file, needs.named))
        )
    ]
    swept = 0
    if not request.dry_run:
        yield from _remove(storage, removed, ())
        orphans = yield from _remove(storage, orphans, uploads)
        if not needed.out_of_reach:
            yield from write(lambda session: forget(session, uploads))
        if isinstance(storage, SweepingStorage):
            sweep = partial(storage.sweep_unfinished, request.grace_seconds)
            swept = yield from byte_work(sweep)
    freed = swept + sum(each.size_bytes for each in (*removed, *orphans))
    return Collection(
        request.dry_run,
        tuple(removed),
        tuple(orphans),
        len(uploads),
        freed,
        needed.out_of_reach,
    )


def _abandoned_uploads(request: GarbageRequest) -> Steps[list[AbandonedUpload]]:
    seconds = request.grace_seconds
    if request.dry_run:
        return (yield from read(lambda session: find_abandoned(session, seconds)))
    return (yield from write(lambda session: take_over(session, seconds)))


def _ids(uploads: Iterable[AbandonedUpload]) -> frozenset[int]:
    return frozenset(each.upload_id for each in uploads)


def _given_up(session: Session, request: GarbageRequest) -> dict[str, list[int]]:
    """Ask the policy, model by model, which versions it gives up."""
    if request.policy is None:
        return {}
    return {
        name: [
            item.order
            for item in removed_by(
                request.policy, stored_items(session, model_id), now()
            )
        ]
        for name, model_id in models_of(session, request.model).items()
    }


def _bury_all(
    given_up: Mapping[str, Sequence[int]], needed: NeededKeys, request: GarbageRequest
) -> Steps[list[RemovedBytes]]:
    removed: list[RemovedBytes] = []
    for model, ids in given_up.items():
        for some in batches(ids, _VERSIONS_AT_ONCE):
            work = partial(_bury, model=model, ids=some, needed=needed, request=request)
            removed += yield from (read(work) if request.dry_run else write(work))
    return removed


def _bury(
    session: Session,
    *,
    model: str,
    ids: Sequence[int],
    needed: NeededKeys,
    request: GarbageRequest,
) -> list[RemovedBytes]:
    """Mark the bytes of versions as removed, looking once more who needs them."""
    if not request.dry_run:
        hold_model(session, model)
    standing = list(reasons_to_stay(session, ids, needed))
    rows = [row for row, reasons in standing if not reasons]
    found = [
        RemovedBytes(f"{model}:{row.version}", row.storage_path, row.file_size_bytes)
        for row in rows
    ]
    if request.dry_run or not rows:
        return found
    at = now()
    for row in rows:
        row.bytes_removed_at = at
    append_entry(
        session,
        action="gc",
        actor=request.actor,
        model=model,
        reason=repr(request.policy),
        details={
            "versions": [row.version for row in rows],
            "at": at,
            "size_bytes": sum(row.file_size_bytes for row in rows),
        },
    )
    return found


def _remove(
    storage: StorageBackend,
    dead: Sequence[RemovedBytes],
    uploads: Sequence[AbandonedUpload],
) -> Steps[list[RemovedBytes]]:
    """Delete what is still dead; return it."""
    removed: list[RemovedBytes] = []
    for some in batches(dead, _FILES_AT_ONCE):
        work = partial(_delete, storage=storage, dead=some, uploads=_ids(uploads))
        removed += yield from write(work)
    return removed


def _delete(
    session: Session,
    *,
    storage: StorageBackend,
    dead: Sequence[RemovedBytes],
    uploads: frozenset[int],
) -> list[RemovedBytes]:
    """Delete files while their models are held, looking once more whose they are."""
    keys = [each.key for each in dead]
    hold_models_of(session, keys)
    known = owners(session, keys, without=uploads)
    allowed = (
        {Owner.REMOVED_VERSION, Owner.UNKNOWN} if uploads else {Owner.REMOVED_VERSION}
    )
    gone = [each for each in dead if known[each.key] in allowed]
    for each in gone:
        storage.delete(each.key)
    return gone
