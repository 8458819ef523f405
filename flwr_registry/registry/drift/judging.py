"""Judging what is recorded: the rounds of a run, and the versions in production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.records import DriftFinding, MetricSource
from flwr_registry.registry.promotion.history import list_promotions
from flwr_registry.registry.versions import queries
from flwr_registry.registry.versions.metrics import searchable_metrics
from flwr_registry.registry.versions.references import Reference, parse_reference
from flwr_registry.validation import DriftDetector

__all__ = ["judge"]

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
    found = [] if version.run_id is None else _of_run(session, version.run_id, detector)
    return found + _of_production(session, version.model, detector)


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
