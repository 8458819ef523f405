"""Looking for what is not as it should be, and saying how to mend it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import FoundManifest, each_manifest
from flwr_registry.errors import RegistryError, SealError
from flwr_registry.records import BytesState, Finding, Severity, VerificationSummary
from flwr_registry.registry.replay.contradictions import find_contradictions
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import AliasRow
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.raw_rows import UNSOUND_VALUE
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.file_findings import find_in_files
from flwr_registry.registry.upkeep.manifest_findings import compare_told
from flwr_registry.registry.upkeep.stored_files import sorted_files
from flwr_registry.registry.upkeep.verifying import verify_all
from flwr_registry.storage import StorageBackend

__all__ = ["examine"]

_STALE_HOURS = 24


def examine(storage: StorageBackend, *, deep: bool) -> Steps[list[Finding]]:
    """Compare database, stored bytes, checkpoints and audit log with each other.

    Parameters
    ----------
    deep : bool
        Read all bytes and compare digests, not only whether they are there.
    """
    contradictions = yield from find_contradictions()
    try:
        findings = yield from _examine_bytes(storage, deep=deep)
    except (*UNSOUND_VALUE, RegistryError) as error:
        if not contradictions:
            raise
        # What was edited may hold what nothing that looks at it expects.
        problem = f"it cannot be compared with the database: {error}"
        findings = [
            Finding(
                Severity.ERROR,
                f"storage {storage.url}",
                problem,
                "mend first what is found beside this",
            )
        ]
    return list(dict.fromkeys([*findings, *contradictions]))


def _examine_bytes(storage: StorageBackend, *, deep: bool) -> Steps[list[Finding]]:
    findings: list[Finding] = []
    if deep:
        summary = yield from verify_all(storage, None, None)
        findings += _damaged(summary)
    manifests = yield from byte_work(lambda: list(each_manifest(storage)))
    # First of all: what the checkpoints make known again is not unknown then.
    findings += yield from read(lambda session: compare_told(session, manifests))
    files = yield from sorted_files(storage)
    # Nobody knows what a link leads to but who follows it.
    keys = frozenset(file.key for file, _ in files if not file.linked)
    stored = yield from read(_stored)
    findings += yield from byte_work(lambda: list(_missing(storage, stored, keys)))
    findings += yield from find_in_files(storage, files, manifests)
    findings += yield from read(lambda session: list(_in_rows(session)))
    findings += yield from byte_work(
        lambda: list(_in_checkpoints(storage, manifests, keys))
    )
    return findings


def _damaged(summary: VerificationSummary) -> Iterator[Finding]:
    for each in summary.problems:
        mend = "put the file back from a backup"
        if each.state is BytesState.UNREADABLE:
            mend = "let whoever runs this read it"
        yield Finding(
            Severity.ERROR,
            each.reference,
            each.problem,
            f"{mend}, then 'flwr-registry verify {each.reference}'",
        )


def _stored(session: Session) -> list[tuple[str, str]]:
    """List the versions that should have bytes, and their keys, oldest first."""
    query = (
        select(ModelRow.name, VersionRow.version, VersionRow.storage_path)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.bytes_removed_at.is_(None))
        .order_by(VersionRow.id)
    )
    return [(f"{name}:{version}", key) for name, version, key in session.execute(query)]


def _missing(
    storage: StorageBackend, stored: Sequence[tuple[str, str]], keys: Collection[str]
) -> Iterator[Finding]:
    for reference, key in stored:
        # What was registered after the listing is no loss.
        if key not in keys and not storage.exists(key):
            yield Finding(
                Severity.ERROR,
                reference,
                f"its bytes are gone ({key})",
                "put the file back from a backup, then 'flwr-registry verify "
                f"{reference}'; otherwise never use this version",
            )


def _in_rows(session: Session) -> Iterator[Finding]:
    limit = now() - timedelta(hours=_STALE_HOURS)
    uploads = select(UploadRow.storage_prefix).where(UploadRow.created_at < limit)
    for prefix in session.scalars(uploads):
        yield Finding(
            Severity.WARNING,
            prefix,
            f"a registration began over {_STALE_HOURS} hours ago and never ended",
            "flwr-registry gc",
        )
    flagged = select(VersionRow).where(VersionRow.damaged_at.is_not(None))
    for row in session.scalars(flagged):
        name = f"{row.model.name}:{row.version}"
        if row.is_production:
            mend = f"flwr-registry rollback {row.model.name}"
        else:
            mend = f"put the file back, then 'flwr-registry verify {name}'"
        yield Finding(
            Severity.ERROR,
            name,
            f"its bytes were found damaged on {row.damaged_at:%Y-%m-%d}",
            mend,
        )
    query = (
        select(AliasRow.alias, VersionRow)
        .join(VersionRow, VersionRow.id == AliasRow.version_id)
        .where(VersionRow.withdrawn | VersionRow.bytes_removed_at.is_not(None))
    )
    for alias, row in session.execute(query):
        yield Finding(
            Severity.WARNING,
            f"{row.model.name}@{alias}",
            f"names {row.version}, which is withdrawn or has no bytes",
            f"flwr-registry alias set {row.model.name} {alias} VERSION",
        )


def _in_checkpoints(
    storage: StorageBackend, manifests: Sequence[FoundManifest], keys: Collection[str]
) -> Iterator[Finding]:
    for found in manifests:
        subject = f"checkpoint {found}"
        if found.manifest is None:
            mend = "nothing to do while an older one is sound: resume takes that"
            if found.is_only_out_of_reach:
                mend = "let whoever runs this read it, or upgrade flwr-registry"
            if isinstance(found.error, SealError):
                mend = "do what it says; gc leaves what it needs until then"
            state = "out of reach" if found.is_only_out_of_reach else "damaged"
            yield Finding(
                Severity.ERROR, subject, f"it is {state}: {found.error}", mend
            )
            continue
        key = found.manifest.weights.key
        if key.startswith("models/") and key not in keys and not storage.exists(key):
            yield Finding(
                Severity.ERROR,
                subject,
                f"its weights are gone ({key})",
                "put the file back from a backup, or resume from an older checkpoint",
            )
