"""Watching a run for drift while it trains."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flwr_registry.records import Contribution, DriftFinding, MetricSource
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.run_history import MetricsHistory
from flwr_registry.validation import DriftDetector, UpdateMeter
from flwr_registry.weights import Weights

__all__ = ["DriftWatch"]

# What is older has no part in a round's judgement, which takes a millisecond.
_ROUNDS = 64


class DriftWatch:
    """Judges each round against those before; tells of each subject once.

    Everything is computed anew from the metrics of the rounds, so that a resumed run
    judges as the uninterrupted one does.

    Attributes
    ----------
    left : set of int
        Rounds that training went back over.
    """

    def __init__(self, options: RegistryOptions) -> None:
        self.is_on = options.on_drift != "off"
        self._goes_back = options.on_drift == "rollback"
        self._detector = options.drift or DriftDetector()
        self._meter = UpdateMeter()
        self.left: set[int] = set()
        self._told: set[tuple[str, str]] = set()

    def measure(
        self,
        before: Weights | None,
        after: Weights,
        contributions: Sequence[Contribution],
    ) -> dict[str, float]:
        """Return what is known of a round's update."""
        return self._meter.measure(before, after, contributions) if self.is_on else {}

    def take_up(self, history: MetricsHistory, last_round: int) -> None:
        """Judge the rounds of a resumed run again, in silence."""
        for server_round in sorted(history.trusted)[-_ROUNDS:]:
            if server_round <= last_round:
                self.review(server_round, history)

    def review(self, server_round: int, history: MetricsHistory) -> list[DriftFinding]:
        """Judge a round that is over, and return what was not told before.

        Rounds that training goes back over have no part in later judgements.
        """
        if not self.is_on:
            return []
        first = max(0, server_round - _ROUNDS + 1)
        rounds = [
            each for each in range(first, server_round + 1) if each not in self.left
        ]
        updates = history.returned[MetricSource.AGGREGATE.value]
        found = self._detector.findings(
            {each: history.trusted[each] for each in rounds if each in history.trusted},
            {each: updates[each] for each in rounds if each in updates},
        )
        fresh = [each for each in found if each.key not in self._told]
        self._told |= {each.key for each in fresh}
        if fresh and self._goes_back:
            self.left |= {*range(_first_round(fresh), server_round + 1)}
            self._told.clear()
        return fresh


def _first_round(findings: Sequence[DriftFinding]) -> int:
    """Return the round since which anything drifts."""
    return min(int(re.sub(r"\D", "", each.since)) for each in findings)
