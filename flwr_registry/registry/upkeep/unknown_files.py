"""Files that neither a version nor a registration of this database wrote.

They may be another registry's, or all that is left of a database that was lost. So they
go only when they are asked for, by their age, and when no checkpoint names them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import each_manifest
from flwr_registry.errors import InvalidStateError, counted
from flwr_registry.records import UnknownDeletion, UnknownFile
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.upkeep.checkpoint_needs import CheckpointNeeds, read_needs
from flwr_registry.registry.upkeep.stored_files import (
    Owner,
    batches,
    hold_models_of,
    owners,
    sorted_files,
)
from flwr_registry.registry.upkeep.told_versions import missing_versions
from flwr_registry.storage import ListedFile, StorageBackend

__all__ = ["UnknownRequest", "delete_unknown"]

_AT_ONCE = 50
_MAX_DAYS = 365_000
_MODEL_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class UnknownRequest:
    """What a caller wants deleted."""

    older_than: timedelta
    dry_run: bool
    actor: str

    def __post_init__(self) -> None:
        if self.older_than <= timedelta(0):
            raise ValueError(f"an age is above zero, not {self.older_than}")
        if self.older_than.days > _MAX_DAYS:
            raise ValueError(f"nothing is older than {self.older_than.days} days")


def delete_unknown(
    storage: StorageBackend, request: UnknownRequest
) -> Steps[UnknownDeletion]:
    """Delete unknown files that are old enough, and that no checkpoint names.

    Raises
    ------
    InvalidStateError
        While the unknown may be known again: the database has no version, a checkpoint
        tells of versions that it lacks, or one cannot be read.
    """
    found = yield from sorted_files(storage)
    # Read after the files: what a later checkpoint names was not unknown and old.
    needs = yield from byte_work(lambda: _needs_of(storage))
    yield from read(lambda session: _refuse_what_may_come_back(session, needs))
    unknown = [file for file, owner in found if owner is Owner.UNKNOWN]
    sorted_out = _Unknown.of(unknown, needs.named, now() - request.older_than)
    files = sorted_out.old
    if not request.dry_run:
        files = yield from _delete(storage, files, request)
    return UnknownDeletion(
        request.dry_run,
        tuple(files),
        tuple(sorted_out.named),
        tuple(sorted_out.young),
        tuple(sorted_out.foreign),
        sum(each.size_bytes for each in files),
    )


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Unknown files, by whether they may go."""

    old: list[UnknownFile]
    named: list[str]
    young: list[str]
    foreign: list[str]

    @classmethod
    def of(
        cls, files: Iterable[ListedFile], named: Collection[str], limit: datetime
    ) -> _Unknown:
        sorted_out = cls([], [], [], [])
        for each in files:
            if each.is_foreign:
                sorted_out.foreign.append(each.key)
            elif each.key in named:
                sorted_out.named.append(each.key)
            elif each.written_at is None or each.written_at > limit:
                sorted_out.young.append(each.key)
            else:
                unknown = UnknownFile(each.key, each.size_bytes, each.written_at)
                sorted_out.old.append(unknown)
        return sorted_out


def _needs_of(storage: StorageBackend) -> CheckpointNeeds:
    manifests = list(each_manifest(storage))
    unread = [each for each in manifests if each.manifest is None]
    if unread:
        raise InvalidStateError(
            f"checkpoint {unread[0]} cannot be read ({unread[0].error}), so nobody can "
            "tell which files it names: put it back from a backup, or remove its "
            "folder; then delete unknown files"
        )
    return read_needs(manifests)


def _refuse_what_may_come_back(session: Session, needs: CheckpointNeeds) -> None:
    if not session.scalar(select(exists().where(VersionRow.id.is_not(None)))):
        raise InvalidStateError(
            "this database has no version, so every file is unknown to it. Is it the "
            "right one? If it was lost, 'flwr-registry doctor --rebuild' writes it "
            "again from the checkpoints; else restore it from a backup"
        )
    told = {each for folder in needs.folders.values() for each in folder.told}
    lost = [each for each in missing_versions(session, told) if each.origin]
    if lost:
        raise InvalidStateError(
            f"the checkpoints tell of {counted(len(lost), 'version')} that this "
            f"database does not know, such as {lost[0].reference}: first "
            "'flwr-registry doctor --rebuild', which makes them known again"
        )


def _delete(
    storage: StorageBackend, files: Sequence[UnknownFile], request: UnknownRequest
) -> Steps[list[UnknownFile]]:
    removed: list[UnknownFile] = []
    for some in batches(files, _AT_ONCE):
        work = partial(_delete_some, storage=storage, files=some, actor=request.actor)
        removed += yield from write(work)
    return removed


def _delete_some(
    session: Session,
    *,
    storage: StorageBackend,
    files: Sequence[UnknownFile],
    actor: str,
) -> list[UnknownFile]:
    """Delete files that still are unknown, and write down which."""
    keys = [each.key for each in files]
    hold_models_of(session, keys)
    known = owners(session, keys)
    gone = [each for each in files if known[each.key] is Owner.UNKNOWN]
    by_model: dict[str, list[UnknownFile]] = {}
    for each in gone:
        by_model.setdefault(each.key.split("/")[1], []).append(each)
    for model, of_model in by_model.items():
        append_entry(
            session,
            action="delete_unknown",
            actor=actor,
            model=model[:_MODEL_CHARACTERS],
            details={
                "keys": [each.key for each in of_model],
                "size_bytes": sum(each.size_bytes for each in of_model),
            },
        )
    for each in gone:
        storage.delete(each.key)
    return gone
