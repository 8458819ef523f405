"""Runs of other registries, which bundles bring a round at a time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.errors import ExportError
from flwr_registry.records import Run, RunProvenance
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import run_record
from flwr_registry.registry.rows.run_db import RunRow
from flwr_registry.registry.versions.run_recording import add_run

__all__ = ["find_imported_run", "find_or_import_run"]


def find_or_import_run(
    session: Session, provenance: RunProvenance, started_at: datetime, actor: str
) -> Run:
    """Return a run of another registry, recorded unless it is known.

    Raises
    ------
    ExportError
        As `find_imported_run` does.
    InvalidNameError
        When the run or its model has an impossible name.
    """
    known = find_imported_run(session, provenance, started_at)
    return known or add_run(
        session,
        provenance,
        action="import_run",
        actor=actor,
        started_at=started_at,
        imported=True,
    )


def find_imported_run(
    session: Session, provenance: RunProvenance, started_at: datetime
) -> Run | None:
    """Return a run of another registry; its start tells it from others of its name.

    Raises
    ------
    ExportError
        When it was started in this registry.
    """
    query = (
        select(RunRow)
        .join(ModelRow, ModelRow.id == RunRow.model_id)
        .where(
            ModelRow.name == provenance.model,
            RunRow.name == provenance.name,
            RunRow.flwr_run_id == provenance.flwr_run_id,
            RunRow.started_at == started_at,
        )
        .order_by(RunRow.imported, RunRow.id)
        .limit(1)
    )
    row = session.scalar(query)
    if row is None:
        return None
    if not row.imported:
        raise ExportError(
            f"the bundle says that its version is of run {row.name}, which was started "
            "in this registry: nothing else may add rounds to it. To take the version "
            "in all the same, import it under another model name (--model)"
        )
    return run_record(row)
