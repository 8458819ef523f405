"""Metrics of a version: where they come from, and the two that every list shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flwr_registry.records import MetricSource, RoundFacts
from flwr_registry.registry.rows.json_values import finite_or_none, to_json

__all__ = [
    "SearchableMetric",
    "collect_metrics",
    "searchable_metrics",
    "val_accuracy_of",
    "val_loss_of",
]

_TRUST = (
    MetricSource.EVALUATE_SERVERAPP,
    MetricSource.EVALUATE_CLIENTAPP,
    MetricSource.TRAIN_CLIENTAPP,
    MetricSource.AGGREGATE,
)
_PREFIXES = ("val", "validation", "eval", "evaluation", "test", "")
_LOSS = tuple(prefix + "loss" for prefix in _PREFIXES)
_ACCURACY = tuple(prefix + word for prefix in _PREFIXES for word in ("accuracy", "acc"))
_SOURCES = frozenset(MetricSource)

# Longer names do not fit into an index of every database.
_MAX_SEARCHABLE_CHARACTERS = 200

Metrics = Mapping[str, Any]


class SearchableMetric(NamedTuple):
    """One finite metric of a version.

    Attributes
    ----------
    best_source : bool
        No more trusted source has a metric of this name.
    """

    source: str
    name: str
    value: float
    best_source: bool


def searchable_metrics(metrics: Mapping[str, Metrics]) -> Iterator[SearchableMetric]:
    """Go through the finite metrics, those of the most trusted source first.

    Parameters
    ----------
    metrics : mapping
        By source, as `collect_metrics` returns them.
    """
    seen: set[str] = set()
    for source in _TRUST:
        measured = metrics.get(source, {})
        for name, said in measured.items():
            value = finite_or_none(said)
            if value is not None and len(name) <= _MAX_SEARCHABLE_CHARACTERS:
                yield SearchableMetric(source.value, name, value, name not in seen)
        seen |= measured.keys()


def collect_metrics(
    metrics: Metrics | None, facts: RoundFacts | None
) -> dict[str, Any]:
    """Bring metrics into the stored form: JSON under each source.

    Parameters
    ----------
    metrics : mapping, optional
        Metrics under the values of `MetricSource`; or plain metrics, which count as
        measured centrally.
    facts : RoundFacts, optional
        The round, for what training reported.
    """
    collected: dict[str, Any] = {}
    if facts is not None and facts.train_metrics:
        collected[MetricSource.TRAIN_CLIENTAPP.value] = to_json(facts.train_metrics)
    if metrics and _is_by_source(metrics):
        collected |= {MetricSource(key).value: to_json(metrics[key]) for key in metrics}
    elif metrics:
        collected[MetricSource.EVALUATE_SERVERAPP.value] = to_json(metrics)
    return collected


def val_loss_of(metrics: Mapping[str, Metrics]) -> float | None:
    """Choose the finite loss to show: central before federated before training."""
    return _first(metrics, _LOSS)


def val_accuracy_of(metrics: Mapping[str, Metrics]) -> float | None:
    """Choose the accuracy to show, as `val_loss_of` chooses."""
    return _first(metrics, _ACCURACY)


def _is_by_source(metrics: Metrics) -> bool:
    return all(
        key in _SOURCES and isinstance(value, Mapping) for key, value in metrics.items()
    )


def _first(metrics: Mapping[str, Metrics], names: tuple[str, ...]) -> float | None:
    for source in _TRUST:
        found = {_normal(key): value for key, value in metrics.get(source, {}).items()}
        for name in names:
            if name in found:
                # A loss that is not finite is not hidden behind a less trusted one.
                return finite_or_none(found[name])
    return None


def _normal(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "").replace(" ", "")
