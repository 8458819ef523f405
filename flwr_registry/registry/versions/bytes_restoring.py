"""Bytes that come back to a version that has lost them.

As in a registration an upload is left first, which garbage collection heeds, and the
row changes last.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeAlias

from sqlalchemy import delete
from sqlalchemy.orm import Session

from flwr_registry.errors import (
    DatabaseError,
    IntegrityError,
    ObjectNotFoundError,
    RegistryError,
    StorageError,
)
from flwr_registry.records import ModelVersion, StoredObject, VersionStatus
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.steps import FAILURES, Steps, byte_work, write
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.registry.versions.version_writing import refuse_other_bytes
from flwr_registry.storage import Content, StorageBackend, digest_of
from flwr_registry.weights import verify_stored

__all__ = ["restore_bytes"]

# SQLite gives the id of a row that is gone to the next one.
_Upload: TypeAlias = tuple[int, datetime]


def restore_bytes(
    storage: StorageBackend, version: ModelVersion, content: Content, actor: str
) -> Steps[ModelVersion]:
    """Make content the bytes of a version again, if it has none that are whole.

    Raises
    ------
    DuplicateVersionError
        When the digest of the content is not the version's; nothing changed.
    StorageError, DatabaseError
        When saving failed; the version is as it was.
    """
    digest = yield from byte_work(partial(digest_of, content))
    refuse_other_bytes(version, digest)
    is_whole = yield from byte_work(partial(_is_whole, storage, version.stored))
    if is_whole and version.bytes_removed_at is version.damaged_at is None:
        return version
    upload = yield from write(partial(_announce, version=version))
    try:
        yield from byte_work(
            partial(_save_unless_whole, storage, version.stored, content)
        )
        # Also when cancelled: what is saved now would be bytes without a use.
        finish = partial(_finish, version=version, upload=upload, actor=actor)
        return (yield from write(finish, always=True))
    except DatabaseError:
        # A database that just failed is not asked to undo anything.
        raise
    except FAILURES:
        with suppress(RegistryError):
            yield from write(partial(_withdraw, upload=upload), always=True)
        raise


def _is_whole(storage: StorageBackend, stored: StoredObject) -> bool:
    try:
        verify_stored(storage, stored)
    except (IntegrityError, ObjectNotFoundError):
        return False
    return True


def _save_unless_whole(
    storage: StorageBackend, stored: StoredObject, content: Content
) -> None:
    """Save content; asked once more, since collection may have come to an end."""
    if not _is_whole(storage, stored):
        storage.save(stored.key, content)


def _announce(session: Session, *, version: ModelVersion) -> _Upload:
    """Say that the version's folder is written into."""
    model_id = hold_model(session, version.model)
    row = session.get_one(VersionRow, version.id)
    upload = UploadRow(
        model_id=model_id,
        major=row.major,
        minor=row.minor,
        patch=row.patch,
        fingerprint=row.fingerprint,
        failed=row.status == VersionStatus.FAILED,
        storage_prefix=row.storage_path.rpartition("/")[0],
    )
    session.add(upload)
    session.flush()
    return upload.id, upload.created_at


def _withdraw(session: Session, *, upload: _Upload) -> bool:
    """Take an upload back; tell whether it was still there."""
    upload_id, created_at = upload
    gone = session.execute(
        delete(UploadRow).where(
            UploadRow.id == upload_id, UploadRow.created_at == created_at
        )
    )
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def _finish(
    session: Session, *, version: ModelVersion, upload: _Upload, actor: str
) -> ModelVersion:
    """Say in the row that the bytes are there, and leave an audit entry."""
    hold_model(session, version.model)
    if not _withdraw(session, upload=upload):
        raise StorageError(
            f"restoring the bytes of {version.reference} took so long that garbage "
            "collection gave it up: import the bundle again, and let gc wait longer "
            "(grace_seconds)",
            key=version.storage_path,
        )
    row = session.get_one(VersionRow, version.id)
    row.bytes_removed_at = row.damaged_at = None
    append_entry(
        session,
        action="restore_bytes",
        actor=actor,
        model=version.model,
        version=version.version,
        details={"checksum": row.checksum, "file_size_bytes": row.file_size_bytes},
    )
    session.flush()
    return version_record(row)
