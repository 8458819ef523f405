"""Rounds that a resumed run trains once more."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import RoundStatus, StoredObject
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.run_recording import audit_round, save_round

__all__ = ["made_again"]


def made_again(
    session: Session,
    registration: Registration,
    parent_id: int | None,
    stored: StoredObject,
) -> VersionRow | None:
    """Find the version that an earlier start of the run made of this very round.

    It has the same parent and the same bytes. It counts again, and the round is
    recorded with it as its version.
    """
    run, facts = registration.run, registration.facts
    if run is None or facts is None:
        return None
    query = (
        select(VersionRow)
        .join(RunRow, RunRow.id == VersionRow.run_id)
        .join(RoundRow, RoundRow.id == VersionRow.round_id)
        .where(
            RunRow.name == run.provenance.name,
            RunRow.id != run.id,
            ~RunRow.imported,
            RoundRow.server_round == facts.server_round,
            VersionRow.parent_id == parent_id
            if parent_id is not None
            else VersionRow.parent_id.is_(None),
            VersionRow.checksum == stored.sha256,
            VersionRow.superseded,
            VersionRow.bytes_removed_at.is_(None),
        )
        .order_by(VersionRow.id.desc())
        .limit(1)
    )
    found = session.scalar(query)
    if found is None:
        return None
    found.superseded = False
    status = RoundStatus.REJECTED if registration.failed else RoundStatus.REGISTERED
    row = save_round(
        session,
        run,
        facts,
        status,
        errors=registration.errors,
        metrics=registration.metrics,
    )
    row.measured_version_id = found.id
    session.flush()
    again = [found.version]
    audit_round(session, run, row, "repeat_round", counts_again=again)
    return found
