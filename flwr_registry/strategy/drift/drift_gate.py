"""What follows when a run gets worse: a warning, an end, or a way back."""

from __future__ import annotations

from typing import Any

from flwr_registry.errors import DriftError
from flwr_registry.records import DriftFinding, MetricSource, RoundFacts
from flwr_registry.strategy.drift.drift_watch import DriftWatch
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_drift, log_went_back
from flwr_registry.strategy.run_history import CurrentModel, MetricsHistory
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.strategy.writing.run_jobs import RunJobs
from flwr_registry.weights import Weights

__all__ = ["DriftGate"]


class DriftGate:
    """Acts on what a `DriftWatch` finds, by the user's option.

    Attributes
    ----------
    restored : object
        The model from before a drift, as Flower knows it, that the next round trains;
        None for Flower's own.
    """

    def __init__(
        self, options: RegistryOptions, port: StrategyPort, tolerate: Tolerance
    ) -> None:
        self.restored: Any = None
        self._choice = options.on_drift
        self._port = port
        self._tolerate = tolerate
        self._watch = DriftWatch(options)

    def take_up(self, metrics: MetricsHistory, last_round: int) -> None:
        """Judge the rounds of a resumed run again, in silence."""
        with self._tolerate("look for drift in the rounds before"):
            self._watch.take_up(metrics, last_round)

    def measure(
        self,
        facts: RoundFacts,
        before: Weights | None,
        after: Weights,
        metrics: MetricsHistory,
    ) -> dict[str, float]:
        """Note and return what a round's update was like."""
        updates: dict[str, float] = {}
        with self._tolerate(f"measure the update of round {facts.server_round}"):
            updates = self._watch.measure(before, after, facts.contributions)
        if updates:
            metrics.note(MetricSource.AGGREGATE, facts.server_round, updates)
        return updates

    def review(self, server_round: int, metrics: MetricsHistory) -> list[DriftFinding]:
        """Judge a round that is over; log what is found."""
        findings: list[DriftFinding] = []
        metrics.end_round(server_round)
        with self._tolerate(f"look for drift in round {server_round}"):
            findings = self._watch.review(server_round, metrics)
        for each in findings:
            log_drift(each)
        return findings

    def keeps_out(self, findings: list[DriftFinding]) -> bool:
        """Tell whether the round's version is neither the best nor for production."""
        return bool(findings) and self._choice != "warn"

    def go_back(
        self, findings: list[DriftFinding], model: CurrentModel, jobs: RunJobs
    ) -> CurrentModel:
        """Return what training goes on with: the model before the drift, or this."""
        if not findings or self._choice != "rollback":
            return model
        with self._tolerate("go back to the model before the drift"):
            found = jobs.go_back(self._watch.left, self._port, model.tensor_type)
            self.restored = found.given
            log_went_back(found.model.version.record)
            return found.model
        return model

    def end_if_chosen(self, server_round: int, findings: list[DriftFinding]) -> None:
        """End training when that is the user's choice.

        Raises
        ------
        DriftError
            With what was found.
        """
        if findings and self._choice == "stop":
            messages = [each.message for each in findings]
            raise DriftError(
                f"training ends after round {server_round}: {'; '.join(messages)}",
                findings=messages,
            )
