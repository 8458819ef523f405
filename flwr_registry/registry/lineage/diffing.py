"""What differs between two versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    ContributorsDiff,
    MetricChange,
    ModelVersion,
    Run,
    SettingChange,
    VersionDiff,
    WeightsDiff,
)
from flwr_registry.registry.rows.row_records import run_record, version_record
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.queries import find_version, list_contributions
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import compare_stored

__all__ = ["diff"]

_OF_RUN = ("strategy", "strategy_config", "run_config", "app_id", "app_version")
_OF_VERSION = ("architecture", "framework", "description", "tags", "model_config")


@dataclass(frozen=True, slots=True)
class _Side:
    version: ModelVersion
    run: Run | None
    contributions: list[Contribution]


def diff(storage: StorageBackend, a: str, b: str) -> Steps[VersionDiff]:
    """Compare two versions; their weights are streamed, never loaded both.

    Raises
    ------
    ModelNotFoundError
        When one is unknown.
    IntegrityError, StorageError
        When stored bytes are damaged or gone.
    """
    of_a, of_b = yield from read(lambda s: (_side(s, a), _side(s, b)))
    weights = yield from _weights_diff(storage, of_a.version, of_b.version)
    return VersionDiff(
        of_a.version.reference,
        of_b.version.reference,
        weights,
        tuple(_metric_changes(of_a.version.metrics, of_b.version.metrics)),
        _contributors_diff(of_a, of_b),
        tuple(_setting_changes(_settings(of_a), _settings(of_b))),
    )


def _side(session: Session, reference: str) -> _Side:
    row = find_version(session, parse_reference(reference))
    run = run_record(row.run) if row.run else None
    return _Side(version_record(row), run, list_contributions(session, row))


def _weights_diff(
    storage: StorageBackend, a: ModelVersion, b: ModelVersion
) -> Steps[WeightsDiff | None]:
    if a.bytes_removed_at is not None or b.bytes_removed_at is not None:
        return None
    return (yield from byte_work(lambda: compare_stored(storage, a.stored, b.stored)))


def _metric_changes(
    a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]
) -> Iterator[MetricChange]:
    for source in dict.fromkeys([*a, *b]):
        of_a, of_b = a.get(source, {}), b.get(source, {})
        for name in dict.fromkeys([*of_a, *of_b]):
            before, after = of_a.get(name), of_b.get(name)
            yield MetricChange(source, name, before, after, _change(before, after))


def _change(before: Any, after: Any) -> float | None:
    for value in (before, after):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
    return float(after - before)


def _contributors_diff(a: _Side, b: _Side) -> ContributorsDiff:
    of_a, of_b = _gave(a), _gave(b)
    return ContributorsDiff(
        tuple(sorted(of_a - of_b)),
        tuple(sorted(of_b - of_a)),
        tuple(sorted(of_a & of_b)),
    )


def _gave(side: _Side) -> set[str]:
    return {
        given.node_id
        for given in side.contributions
        if given.status is ContributionStatus.OK
    }


def _settings(side: _Side) -> dict[str, Any]:
    said = asdict(side.version.metadata)
    settings = {name: said[name] for name in _OF_VERSION}
    if side.run is not None:
        came = asdict(side.run.provenance)
        settings |= {name: came[name] for name in _OF_RUN}
    return dict(_flattened(settings, ""))


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or not name):
        for key, item in value.items():
            yield from _flattened(item, f"{name}.{key}" if name else str(key))
    elif value not in ("", None, {}):
        yield name, value


def _setting_changes(
    a: Mapping[str, Any], b: Mapping[str, Any]
) -> Iterator[SettingChange]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield SettingChange(name, a.get(name), b.get(name))
