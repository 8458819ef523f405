"""What a run has given so far, as its checkpoints keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr_registry.records import MetricSource, ModelVersion
from flwr_registry.strategy.aggregate import Buffers
from flwr_registry.weights import Weights

__all__ = ["CurrentModel", "RunHistory"]


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The model that training goes on with, and its version if it has one."""

    buffers: Buffers = ()
    weights: Weights | None = None
    version: ModelVersion | None = None


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Metrics and versions of the rounds that are done.

    Attributes
    ----------
    metrics : mapping
        By `MetricSource` value, then by round.
    versions : mapping
        Number of the version that each round made.
    """

    metrics: dict[str, dict[int, Mapping[str, Any]]] = field(
        default_factory=lambda: {source.value: {} for source in MetricSource}
    )
    versions: dict[int, str] = field(default_factory=dict)

    def note_metrics(
        self, source: MetricSource, server_round: int, metrics: Mapping[str, Any]
    ) -> None:
        """Keep what was measured in a round."""
        self.metrics[source.value][server_round] = metrics
