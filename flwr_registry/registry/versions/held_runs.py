"""Who holds a run in either place, and freeing it by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import StorageLeases, newest_of
from flwr_registry.records import Lease
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.run_db import RunRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.run_leases import find_lease, release_lease
from flwr_registry.storage import StorageBackend

__all__ = ["held_run", "release_run"]


def held_run(storage: StorageBackend, run: str) -> Steps[Lease | None]:
    """Return the newest lease of a run in database and storage; None without one."""
    stored = StorageLeases(storage, run)
    in_database = yield from read(partial(find_lease, run=run))
    in_storage = yield from byte_work(stored.newest)
    return newest_of([in_database, in_storage])


def release_run(storage: StorageBackend, run: str, actor: str) -> Steps[Lease | None]:
    """Free a run in database and storage, and leave an audit entry.

    Returns
    -------
    Lease or None
        What is free now; None when no start of the run ever took one.
    """
    held = yield from held_run(storage, run)
    if held is None:
        return None
    stored = StorageLeases(storage, run)
    in_storage = yield from byte_work(stored.newest)
    if in_storage is not None and in_storage.token == held.token:
        yield from byte_work(partial(stored.release, held))
    yield from write(partial(_release, lease=held, actor=actor))
    return replace(held, released=True)


def _release(session: Session, *, lease: Lease, actor: str) -> None:
    release_lease(session, lease)
    query = select(RunRow).where(RunRow.name == lease.run).order_by(RunRow.id.desc())
    run = session.scalar(query.limit(1))
    append_entry(
        session,
        action="release_run",
        actor=actor,
        model=run.model.name if run is not None else "",
        details={"name": lease.run, **lease.to_json()},
    )
