"""Findings of drift and baselines of served values, written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import (
    DriftFinding,
    DriftKind,
    DriftSeverity,
    ModelVersion,
    RecordedDrift,
    Run,
)
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.drift_db import DriftBaselineRow, DriftFindingRow
from flwr_registry.registry.rows.json_values import finite_or_none, plain_text
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.row_seals import seals_of
from flwr_registry.registry.versions.queries import find_version, require_model
from flwr_registry.registry.versions.references import Reference
from flwr_registry.registry.versions.run_leases import refuse_fenced

__all__ = ["add_findings", "find_baseline", "list_findings", "set_baseline"]

_LARGEST = 1e308


def add_findings(
    session: Session,
    model: str,
    findings: Sequence[DriftFinding],
    version: ModelVersion | None,
    run: Run | None,
) -> list[RecordedDrift]:
    """Keep findings, in their order.

    Raises
    ------
    FencedError
        When a newer start of the run has begun.
    """
    model_id = require_model(session, model)
    refuse_fenced(session, run)
    rows = [
        DriftFindingRow(
            model_id=model_id,
            version_id=version.id if version else None,
            run_id=run.id if run else None,
            kind=each.kind.value,
            subject=plain_text(each.subject),
            since=plain_text(each.since),
            found=plain_text(each.found),
            statistic=_finite(each.statistic),
            threshold=_finite(each.threshold),
            severity=each.severity.value,
            message=plain_text(each.message),
        )
        for each in findings
    ]
    session.add_all(rows)
    session.flush()
    for row in rows:
        session.refresh(row)
    if rows:
        append_entry(
            session,
            action="record_drift",
            actor="flwr-registry",
            model=model,
            version=version.version if version else None,
            details={"rows": seals_of(*rows)},
        )
    return [_record(row) for row in rows]


def list_findings(
    session: Session, model: str, limit: int | None
) -> list[RecordedDrift]:
    """List findings of a model, newest first."""
    model_id = require_model(session, model)
    statement = (
        select(DriftFindingRow)
        .where(DriftFindingRow.model_id == model_id)
        .order_by(DriftFindingRow.id.desc())
        .limit(limit)
    )
    return [_record(row) for row in session.scalars(statement)]


def set_baseline(
    session: Session, reference: Reference, content: Mapping[str, Any], actor: str
) -> ModelVersion:
    """Keep what served values of a version are held against, in place of the former."""
    version = find_version(session, reference)
    row = _baseline_row(session, version.id)
    if row is None:
        row = DriftBaselineRow(version_id=version.id)
        session.add(row)
    row.content, row.created_at = dict(content), now()
    session.flush()
    append_entry(
        session,
        action="set_drift_baseline",
        actor=actor,
        model=version.model.name,
        version=version.version,
        details={"tensors": sorted(content), "rows": seals_of(row)},
    )
    return version_record(version)


def find_baseline(session: Session, reference: Reference) -> dict[str, Any] | None:
    """Return the baseline of a version, None without one."""
    row = _baseline_row(session, find_version(session, reference).id)
    return None if row is None else dict(row.content)


def _baseline_row(session: Session, version_id: int) -> DriftBaselineRow | None:
    statement = select(DriftBaselineRow).where(
        DriftBaselineRow.version_id == version_id
    )
    return session.scalars(statement).one_or_none()


def _finite(value: float) -> float:
    """Return a number that every database holds."""
    found = finite_or_none(value)
    return _LARGEST if found is None else found


def _record(row: DriftFindingRow) -> RecordedDrift:
    finding = DriftFinding(
        kind=DriftKind(row.kind),
        subject=row.subject,
        since=row.since,
        found=row.found,
        statistic=row.statistic,
        threshold=row.threshold,
        severity=DriftSeverity(row.severity),
        message=row.message,
    )
    return RecordedDrift(
        id=row.id,
        model=row.model.name,
        version=row.version.version if row.version else None,
        run_name=row.run.name if row.run else None,
        finding=finding,
        created_at=row.created_at,
    )
