"""Garbage collection: a tombstone first, committed, then the bytes.

A crash in between leaves bytes that nothing refers to, never a reference to no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from flwr_registry.records import Collection, RemovedBytes
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import MetricRow, UploadRow, VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.upkeep.checkpoint_keys import resume_points
from flwr_registry.registry.upkeep.orphans import find_orphans, remove_orphans
from flwr_registry.registry.upkeep.protection import unprotected
from flwr_registry.registry.versions.queries import require_model
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.retention import Kept, RetentionPolicy, removed_by
from flwr_registry.storage import StorageBackend, SweepingStorage

__all__ = ["GarbageRequest", "collect_garbage"]

_BATCH = 500


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
    stale = yield from _drop_stale_uploads(request)
    removed: list[RemovedBytes] = []
    if request.policy is not None:
        removed = yield from _apply_policy(storage, request)
    buried = {each.key for each in removed}
    found = yield from find_orphans(storage)
    orphans = [each for each in found if each.key not in buried]
    swept = 0
    if not request.dry_run:
        for each in removed:
            yield from byte_work(partial(storage.delete, each.key))
        orphans = yield from remove_orphans(storage, orphans)
        if isinstance(storage, SweepingStorage):
            sweep = partial(storage.sweep_unfinished, request.grace_seconds)
            swept = yield from byte_work(sweep)
    freed = swept + sum(each.size_bytes for each in (*removed, *orphans))
    return Collection(request.dry_run, tuple(removed), tuple(orphans), stale, freed)


def _drop_stale_uploads(request: GarbageRequest) -> Steps[int]:
    """Give up registrations that began so long ago that their process is gone."""
    limit = now() - timedelta(seconds=request.grace_seconds)
    old = UploadRow.created_at < limit
    if request.dry_run:
        count = select(func.count()).select_from(UploadRow).where(old)
        return (yield from read(lambda session: session.scalar(count) or 0))

    def drop(session: Session) -> int:
        gone = session.execute(delete(UploadRow).where(old))
        return int(gone.rowcount)  # type: ignore[attr-defined]

    return (yield from write(drop))


def _apply_policy(
    storage: StorageBackend, request: GarbageRequest
) -> Steps[list[RemovedBytes]]:
    removed: list[RemovedBytes] = []
    given_up = yield from read(lambda session: _given_up(session, request))
    # Read after the candidates: what a later checkpoint needs is none of them.
    needed = yield from byte_work(partial(resume_points, storage))
    for model, ids in given_up.items():
        for start in range(0, len(ids), _BATCH):
            work = partial(
                _bury,
                model=model,
                ids=ids[start : start + _BATCH],
                needed=needed,
                request=request,
            )
            removed += yield from (read(work) if request.dry_run else write(work))
    return removed


def _given_up(session: Session, request: GarbageRequest) -> dict[str, list[int]]:
    """Ask the policy, model by model, which versions it gives up."""
    assert request.policy is not None
    if request.model is not None:
        require_model(session, request.model)
    models = session.execute(select(ModelRow.id, ModelRow.name)).all()
    return {
        name: [
            item.order
            for item in removed_by(request.policy, _items(session, model_id), now())
        ]
        for model_id, name in models
        if request.model in (None, name)
    }


def _items(session: Session, model_id: int) -> list[Kept]:
    metrics = _metrics(session, model_id)
    query = select(
        VersionRow.id, VersionRow.total_rounds, VersionRow.created_at, VersionRow.pinned
    ).where(VersionRow.model_id == model_id, VersionRow.bytes_removed_at.is_(None))
    return [
        Kept(id, total_rounds or None, created_at, metrics.get(id, {}), pinned)
        for id, total_rounds, created_at, pinned in session.execute(query)
    ]


def _metrics(session: Session, model_id: int) -> Mapping[int, dict[str, float]]:
    query = select(MetricRow.version_id, MetricRow.name, MetricRow.value).where(
        MetricRow.model_id == model_id, MetricRow.best_source
    )
    found: dict[int, dict[str, float]] = {}
    for version_id, name, value in session.execute(query):
        found.setdefault(version_id, {})[name] = value
    return found


def _bury(
    session: Session,
    *,
    model: str,
    ids: Sequence[int],
    needed: frozenset[str],
    request: GarbageRequest,
) -> list[RemovedBytes]:
    """Mark the bytes of versions as removed, looking once more who needs them."""
    if not request.dry_run:
        hold_model(session, model)
    rows = unprotected(session, ids, needed)
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
            "size_bytes": sum(row.file_size_bytes for row in rows),
        },
    )
    return found
