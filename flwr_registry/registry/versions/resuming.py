"""Going on with a run that was interrupted."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import Run, RunProvenance
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.rebuilding import restore_run
from flwr_registry.registry.versions.run_recording import hold_model, start_run

__all__ = ["resume_run"]


def resume_run(
    session: Session, provenance: RunProvenance, content: CheckpointContent
) -> Run:
    """Record a start of a run that goes on from a checkpoint.

    Rows that the database lacks are written from the checkpoint. What earlier starts of
    the run trained from the same version after that round is marked superseded: it is
    trained again.
    """
    restored = restore_run(session, content)
    version, server_round = content.version, content.server_round
    run = start_run(session, provenance)
    model_id = hold_model(session, provenance.model)
    abandoned = _abandoned(session, model_id, provenance.name, version, server_round)
    if abandoned:
        session.execute(
            update(VersionRow)
            .where(VersionRow.id.in_([row.id for row in abandoned]))
            .values(superseded=True)
        )
    append_entry(
        session,
        action="resume_run",
        actor="flwr-registry",
        model=provenance.model,
        version=version,
        details={
            "run": run.id,
            "name": provenance.name,
            "after_round": server_round,
            "superseded": [row.version for row in abandoned],
            "restored": restored,
        },
    )
    return run


def _abandoned(
    session: Session,
    model_id: int,
    run_name: str,
    version: str | None,
    server_round: int,
) -> list[VersionRow]:
    """Find what came of the version in later rounds of the same experiment."""
    if version is None:
        return []
    line = (
        select(VersionRow.id)
        .where(VersionRow.model_id == model_id, VersionRow.version == version)
        .cte(recursive=True)
    )
    line = line.union(
        select(VersionRow.id)
        .join(line, VersionRow.parent_id == line.c.id)
        .join(RunRow, RunRow.id == VersionRow.run_id)
        .where(RunRow.name == run_name)
    )
    query = (
        select(VersionRow)
        .join(line, line.c.id == VersionRow.id)
        .join(RoundRow, RoundRow.id == VersionRow.round_id)
        .where(RoundRow.server_round > server_round, ~VersionRow.superseded)
        .order_by(VersionRow.id)
    )
    return list(session.scalars(query))
