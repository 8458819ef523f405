"""Registering what a round gave; trouble with it is kept from training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flwr_registry.records import MetricSource, ModelVersion, RoundFacts, RoundStatus
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.strategy.verdict import Verdict
from flwr_registry.weights import Weights

__all__ = ["RoundRegistration"]


class RoundRegistration:
    """Writes rounds, versions and metrics into the ledger of a run.

    Parameters
    ----------
    opened : callable
        Gives the ledger; its errors are trouble.
    recorded_round : int
        The last round that has its row already.
    """

    def __init__(
        self,
        tolerate: Tolerance,
        opened: Callable[[], RunLedger],
        *,
        recorded_round: int = 0,
    ) -> None:
        self._tolerate = tolerate
        self._opened = opened
        self._recorded_round = recorded_round

    def register(
        self,
        weights: Weights,
        facts: RoundFacts,
        verdict: Verdict,
        *,
        parent: ModelVersion | None,
        privacy: tuple[float, float] | None,
    ) -> ModelVersion | None:
        """Store a round's model and register it; None when that failed."""
        version = None
        with self._tolerate(f"register the model of round {facts.server_round}"):
            version = self._opened().register(
                weights, facts, parent=parent, errors=verdict.errors, privacy=privacy
            )
            self._recorded_round = facts.server_round
        return version

    def register_without_model(
        self, facts: RoundFacts, measured: ModelVersion | None
    ) -> None:
        """Register a round that gave no version."""
        with self._tolerate(f"record round {facts.server_round}"):
            self._opened().record_round(facts, RoundStatus.NO_RESULT, measured)
            self._recorded_round = facts.server_round

    def attach_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: ModelVersion | None,
    ) -> None:
        """Attach metrics to a round and to the version that they measured.

        The initial model, of round 0, is no version, nor is one that could not be
        registered.
        """
        if server_round == 0 or server_round != self._recorded_round:
            return
        what = f"record the {source.value} metrics of round {server_round}"
        with self._tolerate(what):
            self._opened().record_metrics(server_round, source, metrics, measured)
