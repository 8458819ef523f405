"""Registrations that began so long ago that their process is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.version_db import UploadRow
from flwr_registry.registry.upkeep.stored_files import folder_of
from flwr_registry.storage import ListedFile

__all__ = ["AbandonedUpload", "find_abandoned", "forget", "left_by", "take_over"]

# File systems date a file by a clock that stands still between two ticks.
_TICK = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True)
class AbandonedUpload:
    """A reserved number whose bytes never became a version.

    Attributes
    ----------
    folder : str
        Where its bytes would lie.
    began_at : datetime
        When the number was reserved, which was before its first byte.
    """

    upload_id: int
    folder: str
    began_at: datetime


def find_abandoned(session: Session, grace_seconds: float) -> list[AbandonedUpload]:
    """List the registrations that began longer ago, and did not end."""
    return [_abandoned(row) for row in session.scalars(_older_than(grace_seconds))]


def take_over(session: Session, grace_seconds: float) -> list[AbandonedUpload]:
    """Take their numbers over: whoever began them can commit no version any more.

    A number is held until its bytes are removed, so that a crash in between leaves
    them to the next collection.
    """
    taken = []
    held = _older_than(grace_seconds).with_for_update()
    for row in session.scalars(held).all():
        mine = UploadRow(
            model_id=row.model_id,
            major=row.major,
            minor=row.minor,
            patch=row.patch,
            fingerprint=row.fingerprint,
            failed=row.failed,
            storage_prefix=row.storage_prefix,
            created_at=row.created_at,
        )
        session.add(mine)
        session.flush()
        session.delete(row)
        session.flush()
        taken.append(_abandoned(mine))
    return taken


def forget(session: Session, uploads: Iterable[AbandonedUpload]) -> None:
    """Give the numbers back."""
    ids = [each.upload_id for each in uploads]
    session.execute(delete(UploadRow).where(UploadRow.id.in_(ids)))


def left_by(
    uploads: Collection[AbandonedUpload], file: ListedFile, named: Collection[str]
) -> bool:
    """Tell whether an abandoned registration wrote a file that nothing names.

    The number may have been another registry's before: what lay there is its.

    Parameters
    ----------
    named : collection of str
        Keys that any checkpoint names.
    """
    if file.is_foreign or file.written_at is None or file.key in named:
        return False
    began = [each.began_at for each in uploads if each.folder == folder_of(file.key)]
    return bool(began) and file.written_at + _TICK >= min(began)


def _older_than(grace_seconds: float) -> Select[UploadRow]:
    limit = now() - timedelta(seconds=grace_seconds)
    return select(UploadRow).where(UploadRow.created_at < limit).order_by(UploadRow.id)


def _abandoned(row: UploadRow) -> AbandonedUpload:
    return AbandonedUpload(row.id, row.storage_prefix, row.created_at)
