"""Telling where a registry lies, who says so, and what lies there."""

from __future__ import annotations

from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flwr_registry.errors import StorageError, StorageOwnerError
from flwr_registry.records import StorageOwner, Whereabouts
from flwr_registry.registry.database.locations import Places
from flwr_registry.registry.ownership.identities import Identity, find_identity
from flwr_registry.registry.ownership.root_marks import read_root_mark
from flwr_registry.registry.rows.run_db import RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.storage_contents import StorageContents, look_into
from flwr_registry.registry.versions.queries import list_models
from flwr_registry.storage import StorageBackend

__all__ = ["find_whereabouts"]

_NOTHING = StorageContents((), frozenset())


def find_whereabouts(places: Places, storage: StorageBackend) -> Steps[Whereabouts]:
    """Look into database and storage; one that does not answer is told of."""
    identity, models, num_versions, num_runs = yield from read(_rows)
    owner, stored, problem = yield from byte_work(partial(_stored, storage))
    return Whereabouts(
        database=places.shown_database_url,
        database_origin=str(places.database_origin),
        storage=storage.url,
        storage_origin=str(places.storage_origin),
        registry_id=identity.registry_id,
        models=models,
        num_versions=num_versions,
        num_runs=num_runs,
        owner=owner,
        stored_versions=len(stored.versions),
        stored_runs=stored.runs,
        storage_problem=problem,
    )


def _rows(session: Session) -> tuple[Identity, tuple[str, ...], int, int]:
    versions = session.scalar(select(func.count(VersionRow.id))) or 0
    runs = session.scalar(select(func.count(RunRow.id))) or 0
    return find_identity(session), tuple(list_models(session)), versions, runs


def _stored(
    storage: StorageBackend,
) -> tuple[StorageOwner | None, StorageContents, str]:
    try:
        mark = read_root_mark(storage)
        stored = look_into(storage)
    except (StorageError, StorageOwnerError) as error:
        return None, _NOTHING, str(error)
    owner = StorageOwner(mark.id, mark.database, mark.host) if mark else None
    return owner, stored, ""
