"""Recording a run: its start, its rounds, and what was measured in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from flwr_registry.errors import DatabaseError
from flwr_registry.records import (
    Contribution,
    Lease,
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
    check_name,
)
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.json_values import finite_or_none, plain_text, to_json
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import run_record, version_record
from flwr_registry.registry.rows.row_seals import round_seals, seals_of
from flwr_registry.registry.rows.run_db import ContributionRow, RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.metric_doubts import doubts_of, note_doubts
from flwr_registry.registry.versions.metrics import collect_metrics
from flwr_registry.registry.versions.model_names import make_model
from flwr_registry.registry.versions.run_leases import hold_lease, refuse_fenced
from flwr_registry.registry.versions.version_metrics import set_metrics
from flwr_registry.validation import MetricRanges, checked_ranges

__all__ = [
    "add_run",
    "audit_round",
    "find_or_start_run",
    "hold_model",
    "record_round",
    "save_metrics",
    "save_round",
    "start_run",
]

_NAMES = ("name", "model")


def hold_model(session: Session, name: str) -> int:
    """Return a model's id, making the model if need be.

    Until the end of the transaction no other one writes about this model.

    Raises
    ------
    InvalidNameError
        When it would be a new one, with the name of another in other letters.
    """
    query = select(ModelRow.id).where(ModelRow.name == name).with_for_update()
    model_id = session.scalar(query)
    if model_id is not None:
        return model_id
    make_model(session, name)
    return session.scalars(query).one()


def start_run(
    session: Session, provenance: RunProvenance, lease: Lease | None = None
) -> Run:
    """Record the start of a run, and leave an audit entry.

    Raises
    ------
    InvalidNameError
        When the run or its model has an impossible name.
    FencedError
        When a newer start than that of the lease has begun.
    """
    hold_model(session, check_name(provenance.model, "model"))
    columns = {}
    if lease is not None:
        hold_lease(session, lease)
        columns["start_number"] = lease.start_number
    return add_run(
        session, provenance, action="start_run", actor="flwr-registry", **columns
    )


def add_run(
    session: Session,
    provenance: RunProvenance,
    *,
    action: str,
    actor: str,
    **columns: Any,
) -> Run:
    """Write the row of a run, and the audit entry of what made it.

    Raises
    ------
    InvalidNameError
        When the run or its model has an impossible name.
    """
    check_name(provenance.name, "run")
    model_id = hold_model(session, check_name(provenance.model, "model"))
    said = {
        each.name: to_json(getattr(provenance, each.name))
        for each in fields(provenance)
        if each.name not in _NAMES
    }
    row = RunRow(name=provenance.name, model_id=model_id, **said, **columns)
    session.add(row)
    session.flush()
    append_entry(
        session,
        action=action,
        actor=actor,
        model=provenance.model,
        details={
            "run": row.id,
            "name": row.name,
            "flwr_run_id": row.flwr_run_id,
            "rows": seals_of(row),
        },
    )
    session.refresh(row)
    return run_record(row)


def find_or_start_run(
    session: Session, provenance: RunProvenance, *, lacking: Collection[int] = ()
) -> Run:
    """Return the run that is known under name and Flower's id, else record it.

    Parameters
    ----------
    lacking : collection of int
        Rounds that shall get a version: a start that has one of them is another start.
    """
    has_one = (
        select(VersionRow.id)
        .join(RoundRow, RoundRow.id == VersionRow.round_id)
        .where(RoundRow.run_id == RunRow.id, RoundRow.server_round.in_(lacking))
    )
    query = (
        select(RunRow)
        .join(ModelRow, ModelRow.id == RunRow.model_id)
        .where(
            RunRow.name == provenance.name,
            RunRow.flwr_run_id == provenance.flwr_run_id,
            ModelRow.name == provenance.model,
            ~RunRow.imported,
            ~has_one.exists(),
        )
        .order_by(RunRow.id)
        .limit(1)
    )
    row = session.scalar(query)
    return run_record(row) if row is not None else start_run(session, provenance)


def save_round(
    session: Session,
    run: Run,
    facts: RoundFacts,
    status: RoundStatus,
    *,
    errors: Sequence[str] = (),
    metrics: Mapping[str, Any] | None = None,
    measured: ModelVersion | None = None,
) -> RoundRow:
    """Record a round with its contributions; recorded again, it is replaced.

    Parameters
    ----------
    status : RoundStatus
        Kept as it is where the round has a version already.
    errors : sequence of str
        Why its model was rejected.
    metrics : mapping, optional
        By source, beside those of training; other sources' metrics of the round stay.
    measured : ModelVersion, optional
        The version that the clients have after this round.
    """
    row = _round_of(session, run, facts.server_round)
    if not _has_version(session, row):
        row.status = RoundStatus(status).value
        row.errors = [plain_text(str(error)) for error in errors]
    row.metrics = {**row.metrics, **collect_metrics(metrics, facts)}
    row.duration_seconds = finite_or_none(facts.duration_seconds)
    if measured is not None:
        row.measured_version_id = measured.id
    if facts.contributions:
        _replace_contributions(session, row, facts.contributions)
    session.flush()
    return row


def record_round(
    session: Session, run: Run, facts: RoundFacts, status: RoundStatus, **said: Any
) -> None:
    """Record a round as `save_round` does, and leave an audit entry.

    Raises
    ------
    FencedError
        When a newer start of the run has begun.
    """
    row = save_round(session, run, facts, status, **said)
    refuse_fenced(session, run)
    audit_round(session, run, row, "record_round")


def audit_round(
    session: Session, run: Run, row: RoundRow, action: str, **said: Any
) -> None:
    """Leave an audit entry with the digest of a round that has no new version.

    Parameters
    ----------
    action : str
        What was done.
    **said
        What else the audit log is told.
    """
    append_entry(
        session,
        action=action,
        actor="flwr-registry",
        model=run.provenance.model,
        details={
            "run": run.id,
            "round": row.server_round,
            "rows": round_seals(session, row),
            **said,
        },
    )


def save_metrics(
    session: Session,
    run: Run,
    server_round: int,
    source: MetricSource,
    metrics: Mapping[str, Any],
    *,
    measured: ModelVersion | None,
    metric_ranges: MetricRanges | None = None,
) -> ModelVersion | None:
    """Keep a round's metrics, and attach them to the version that they measured.

    Parameters
    ----------
    source : MetricSource
        Who measured.
    measured : ModelVersion or None
        The version whose weights were measured. Made by an earlier round, it takes the
        metrics only where it has none of this source: the first measure stays.
    metric_ranges : mapping, optional
        Values that are allowed beside those that names imply; with others the version
        fails.

    Returns
    -------
    ModelVersion or None
        The measured version as it stands now.

    Raises
    ------
    FencedError
        When a newer start of the run has begun.
    """
    name, said = MetricSource(source).value, to_json(metrics)
    row = _round_of(session, run, server_round)
    refuse_fenced(session, run)
    row.metrics = _merged(row.metrics, name, said)
    if measured is None:
        _audit_metrics(session, run, row, name, None)
        return None
    row.measured_version_id = measured.id
    version = session.get_one(VersionRow, measured.id)
    if version.round_id == row.id or name not in version.metrics:
        set_metrics(session, version, _merged(version.metrics, name, said))
        doubts = doubts_of({name: said}, checked_ranges(metric_ranges))
        note_doubts(session, version, doubts)
    _audit_metrics(session, run, row, name, version)
    return version_record(version)


def _audit_metrics(
    session: Session, run: Run, row: RoundRow, source: str, measured: VersionRow | None
) -> None:
    session.flush()
    append_entry(
        session,
        action="record_metrics",
        actor="flwr-registry",
        model=run.provenance.model,
        version=measured.version if measured is not None else None,
        details={
            "run": run.id,
            "round": row.server_round,
            "source": source,
            "rows": seals_of(row, measured),
        },
    )


def _round_of(session: Session, run: Run, server_round: int) -> RoundRow:
    """Return the row of a round, made without a result if there is none."""
    known = session.get(RunRow, run.id)
    if known is None or known.name != run.provenance.name:
        raise DatabaseError(
            f"run {run.provenance.name} ({run.id}) was started in another database"
        )
    hold_model(session, known.model.name)
    query = select(RoundRow).where(
        RoundRow.run_id == run.id, RoundRow.server_round == server_round
    )
    row = session.scalar(query)
    if row is None:
        row = RoundRow(
            run_id=run.id,
            server_round=server_round,
            status=RoundStatus.NO_RESULT.value,
            metrics={},
            errors=[],
        )
        session.add(row)
        session.flush()
    return row


def _has_version(session: Session, row: RoundRow) -> bool:
    query = select(VersionRow.id).where(VersionRow.round_id == row.id)
    return session.scalar(query) is not None


def _replace_contributions(
    session: Session, row: RoundRow, contributions: Sequence[Contribution]
) -> None:
    session.execute(delete(ContributionRow).where(ContributionRow.round_id == row.id))
    session.add_all(
        ContributionRow(
            round_id=row.id,
            node_id=plain_text(str(given.node_id)),
            status=given.status.value,
            num_examples=finite_or_none(given.num_examples),
            weight_share=finite_or_none(given.weight_share),
            metrics=to_json(given.metrics),
            error_code=given.error_code,
            error_reason=plain_text(given.error_reason),
        )
        for given in contributions
    )


def _merged(
    metrics: Mapping[str, Any], source: str, said: Mapping[str, Any]
) -> dict[str, Any]:
    return {**metrics, source: {**metrics.get(source, {}), **said}}
