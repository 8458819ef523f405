"""Judging what is recorded: the rounds of a run, and the versions in production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import DriftFinding, MetricSource, ModelVersion, Run
from flwr_registry.registry.promotion.history import list_promotions
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import run_record
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.versions import queries
from flwr_registry.registry.versions.metrics import searchable_metrics
from flwr_registry.registry.versions.references import (
    LATEST,
    Reference,
    parse_reference,
)
from flwr_registry.validation import DriftDetector

__all__ = ["find_run", "judge"]

_FEWEST_VERSIONS = 3

Metrics = Mapping[str, Mapping[str, Any]]


def judge(
    session: Session, reference: Reference, detector: DriftDetector
) -> list[DriftFinding]:
    """Judge the run of a version, and the versions that were in production.

    Parameters
    ----------
    detector : DriftDetector
        Production versions are fewer than rounds: three are enough to judge.
    """
    version = queries.find_record(session, reference)
    run = find_run(session, reference)
    found = [] if run is None else _of_run(session, run.id, detector)
    return found + _of_production(session, version.model, detector)


def find_run(session: Session, reference: Reference) -> Run | None:
    """Return the run that tells whether a version, or a model, gets worse.

    It is the run that made the version. What was registered from a file has none, and
    a model goes on in its newest run: the newest that has a round, then.
    """
    version = queries.find_record(session, reference)
    if reference.alias == LATEST or version.run_id is None:
        return _newest_run(session, version)
    return run_record(session.get_one(RunRow, version.run_id))


def _newest_run(session: Session, version: ModelVersion) -> Run | None:
    of_model = select(ModelRow.id).where(ModelRow.name == version.model)
    has_round = select(RoundRow.id).where(RoundRow.run_id == RunRow.id).exists()
    query = (
        select(RunRow)
        .where(RunRow.model_id == of_model.scalar_subquery(), has_round)
        .order_by(RunRow.id.desc())
        .limit(1)
    )
    row = session.scalar(query)
    return None if row is None else run_record(row)


def _of_run(
    session: Session, run_id: int, detector: DriftDetector
) -> list[DriftFinding]:
    rounds = queries.list_rounds(session, run_id)
    measured = {each.server_round: _trusted(each.metrics) for each in rounds}
    updates = {each.server_round: _updates(each.metrics) for each in rounds}
    return detector.findings(measured, updates)


def _of_production(
    session: Session, model: str, detector: DriftDetector
) -> list[DriftFinding]:
    numbers = [each.to_version for each in reversed(list_promotions(session, model))]
    points = []
    for number in numbers:
        if number is not None:
            wanted = parse_reference(f"{model}:{number}")
            version = queries.find_record(session, wanted)
            points.append((version.reference, _trusted(version.metrics)))
    fewest = min(detector.min_points, _FEWEST_VERSIONS)
    return detector.with_min_points(fewest).performance(points)


def _trusted(metrics: Metrics) -> dict[str, float]:
    return {
        each.name: each.value
        for each in searchable_metrics(metrics)
        if each.best_source and each.source != MetricSource.AGGREGATE
    }


def _updates(metrics: Metrics) -> dict[str, float]:
    return {
        each.name: each.value
        for each in searchable_metrics(metrics)
        if each.source == MetricSource.AGGREGATE
    }
