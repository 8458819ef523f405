"""Rows made anew from what a checkpoint tells of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import (
    CheckpointContent,
    FinishedRound,
    flat_metrics,
)
from flwr_registry.records import (
    RoundFacts,
    Run,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.metrics import collect_metrics
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.run_recording import (
    find_or_start_run,
    hold_model,
    save_round,
)
from flwr_registry.registry.versions.version_manager import parse_version
from flwr_registry.registry.versions.version_writing import (
    Reservation,
    insert_version,
)

__all__ = ["restore_run"]


def restore_run(session: Session, content: CheckpointContent) -> list[str]:
    """Write the rows of a run's rounds and versions that the database lacks.

    Promotions, aliases, pins and tags that were set by hand are in no checkpoint.

    Returns
    -------
    list of str
        Numbers of the versions that were added.
    """
    model_id = hold_model(session, content.model)
    known = dict(
        session.execute(
            select(VersionRow.version, VersionRow.id).where(
                VersionRow.model_id == model_id
            )
        ).all()
    )
    lost = {
        number: finished
        for number, finished in sorted(content.rounds.items())
        if finished.version is not None and finished.version not in known
    }
    if not lost:
        return []
    provenance = content.provenance or RunProvenance("unknown", content.model)
    run = find_or_start_run(session, provenance)
    for number, finished in sorted(content.rounds.items()):
        facts = _facts_of(content, number, finished)
        metrics = _metrics_of(content, number)
        if number not in lost:
            if finished.version is None:
                save_round(session, run, facts, finished.status, metrics=metrics)
            continue
        row = _insert(session, model_id, run, content, finished, facts, metrics, known)
        known[row.version] = row.id
    return [str(finished.version) for finished in lost.values()]


def _insert(
    session: Session,
    model_id: int,
    run: Run,
    content: CheckpointContent,
    finished: FinishedRound,
    facts: RoundFacts,
    metrics: Mapping[str, Any],
    known: Mapping[str, int],
) -> VersionRow:
    parent = finished.parent if finished.parent in known else None
    registration = Registration(
        model=content.model,
        fingerprint=finished.fingerprint,
        run=run,
        facts=facts,
        errors=finished.errors,
        metrics=collect_metrics(metrics, facts),
        metadata=content.metadata or VersionMetadata(),
        privacy=finished.privacy,
    )
    assert finished.version is not None and finished.weights is not None
    number = parse_version(finished.version)
    parent_id = known[parent] if parent is not None else None
    reserved = Reservation(0, model_id, number, parent_id, parent, registration)
    return insert_version(session, reserved, finished.weights, action="restore")


def _facts_of(
    content: CheckpointContent, number: int, finished: FinishedRound
) -> RoundFacts:
    trained = content.metrics.get("train_clientapp", {}).get(number)
    return RoundFacts(number, flat_metrics(trained), finished.contributions)


def _metrics_of(content: CheckpointContent, number: int) -> dict[str, Any]:
    """Return what was measured of a round after its training, by source."""
    return {
        source: flat_metrics(by_round[number])
        for source, by_round in content.metrics.items()
        if source != "train_clientapp" and by_round.get(number)
    }
