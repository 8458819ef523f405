"""Looking for what is not as it should be, and saying how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import Finding, Severity, VerificationSummary
from flwr_registry.registry.audit_reading import verify_audit
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import AliasRow
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.checkpoint_keys import each_manifest
from flwr_registry.registry.upkeep.checkpointed_versions import compare_told
from flwr_registry.registry.upkeep.orphans import find_orphans
from flwr_registry.registry.upkeep.verifying import verify_all
from flwr_registry.storage import StorageBackend

__all__ = ["examine"]

_STALE_HOURS = 24
_SHOWN = 5


def examine(storage: StorageBackend, *, deep: bool) -> Steps[list[Finding]]:
    """Compare database, stored bytes, checkpoints and audit log with each other.

    Parameters
    ----------
    deep : bool
        Read all bytes and compare digests, not only whether they are there.
    """
    findings: list[Finding] = []
    if deep:
        summary = yield from verify_all(storage, None, None)
        findings += _damaged(summary)
    keys = yield from byte_work(lambda: frozenset(storage.list("models")))
    findings += yield from read(lambda session: list(_missing(session, keys)))
    orphans = yield from find_orphans(storage)
    findings += _orphaned([each.key for each in orphans])
    findings += yield from read(lambda session: list(_in_rows(session)))
    findings += yield from byte_work(lambda: list(_in_checkpoints(storage, keys)))
    findings += yield from read(lambda s: compare_told(s, storage))
    check = yield from verify_audit(None)
    findings += [
        Finding(
            Severity.ERROR,
            "audit log",
            problem,
            "restore the database from a backup; export the log with "
            "'flwr-registry audit export' to compare",
        )
        for problem in check.problems
    ]
    return list(dict.fromkeys(findings))


def _damaged(summary: VerificationSummary) -> Iterator[Finding]:
    for each in summary.problems:
        yield Finding(
            Severity.ERROR,
            each.reference,
            each.problem,
            "put the file back from a backup, then 'flwr-registry verify "
            f"{each.reference}'",
        )


def _missing(session: Session, keys: frozenset[str]) -> Iterator[Finding]:
    query = (
        select(ModelRow.name, VersionRow.version, VersionRow.storage_path)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.bytes_removed_at.is_(None))
        .order_by(VersionRow.id)
    )
    for name, version, key in session.execute(query):
        if key not in keys:
            yield Finding(
                Severity.ERROR,
                f"{name}:{version}",
                f"its bytes are gone ({key})",
                "put the file back from a backup, then 'flwr-registry verify "
                f"{name}:{version}'; otherwise never use this version",
            )


def _orphaned(keys: Iterable[str]) -> Iterator[Finding]:
    found = list(keys)
    if found:
        shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        yield Finding(
            Severity.WARNING,
            f"{len(found)} files",
            f"stored, but no version has them: {shown}",
            "flwr-registry gc",
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


def _in_checkpoints(storage: StorageBackend, keys: frozenset[str]) -> Iterator[Finding]:
    for folder, server_round, manifest, problem in each_manifest(storage):
        subject = f"checkpoint {folder}/{server_round}"
        if manifest is None:
            yield Finding(
                Severity.ERROR,
                subject,
                f"it is damaged: {problem}",
                "nothing to do while an older one is sound: resume takes that",
            )
        elif manifest.weights.key.startswith("models/") and (
            manifest.weights.key not in keys
        ):
            yield Finding(
                Severity.ERROR,
                subject,
                f"its weights are gone ({manifest.weights.key})",
                "put the file back from a backup, or resume from an older checkpoint",
            )
