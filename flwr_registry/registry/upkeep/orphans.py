"""Bytes that belong to no version any more, or never came to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import RemovedBytes
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.storage import StorageBackend

__all__ = ["find_orphans", "remove_orphans"]

_ROOT = "models"
_BATCH = 50


def find_orphans(storage: StorageBackend) -> Steps[list[RemovedBytes]]:
    """List stored weights that are no version's, and that nobody is writing.

    Every writer leaves an upload before its first byte, so what has neither a version
    nor an upload is dead, however young.
    """
    keys = yield from byte_work(lambda: list(storage.list(_ROOT)))
    found: list[RemovedBytes] = []
    for start in range(0, len(keys), 10 * _BATCH):
        some = keys[start : start + 10 * _BATCH]
        dead = yield from read(partial(_dead, keys=some))
        for key in dead:
            size = yield from byte_work(partial(_size_of, storage, key))
            found.append(RemovedBytes(None, key, size))
    return found


def remove_orphans(
    storage: StorageBackend, orphans: Sequence[RemovedBytes]
) -> Steps[list[RemovedBytes]]:
    """Delete orphans that still are; return them.

    They are deleted while the model is held: a writer that takes up the number in
    between, and would save the same bytes under the same key, has to wait.
    """
    removed: list[RemovedBytes] = []
    for start in range(0, len(orphans), _BATCH):
        some = orphans[start : start + _BATCH]
        gone = yield from write(partial(_delete, storage=storage, orphans=some))
        removed += gone
    return removed


def _delete(
    session: Session, *, storage: StorageBackend, orphans: Sequence[RemovedBytes]
) -> list[RemovedBytes]:
    known = set(session.scalars(select(ModelRow.name)))
    for model in sorted({each.key.split("/")[1] for each in orphans} & known):
        hold_model(session, model)
    dead = set(_dead(session, [each.key for each in orphans]))
    gone = [each for each in orphans if each.key in dead]
    for each in gone:
        storage.delete(each.key)
    return gone


def _dead(session: Session, keys: Sequence[str]) -> list[str]:
    """Return the keys that no version with bytes has, and no upload covers."""
    query = select(VersionRow.storage_path).where(
        VersionRow.storage_path.in_(keys), VersionRow.bytes_removed_at.is_(None)
    )
    alive = set(session.scalars(query))
    prefixes = {key.rpartition("/")[0] for key in keys}
    uploads = select(UploadRow.storage_prefix).where(
        UploadRow.storage_prefix.in_(prefixes)
    )
    written = set(session.scalars(uploads))
    return [
        key
        for key in keys
        if key not in alive and key.rpartition("/")[0] not in written
    ]


def _size_of(storage: StorageBackend, key: str) -> int:
    with storage.open(key) as file:
        return file.seek(0, 2)
