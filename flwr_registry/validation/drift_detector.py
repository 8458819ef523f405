"""Tells whether a federation is getting worse, and since which round or version."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from flwr_registry.metric_direction import direction_of, known_direction, words_of
from flwr_registry.records import DriftFinding, DriftKind, DriftSeverity
from flwr_registry.validation.sequential_tests import Change, page_hinkley
from flwr_registry.validation.update_drift import update_findings

__all__ = ["DriftDetector"]

# What is spent grows with each round of any run.
_GROWS_BY_ITSELF = "epsilon"

_FEWEST_POINTS = 3
_NOISE_VALUES = 21

_NOISE_OF_DIFFERENCES = 1.4826 / 2**0.5
"""Makes the median of absolute differences an estimate of the deviation of values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftDetector:
    """Watches metrics over rounds or versions, and the size of updates over rounds.

    Each value is held against the best so far (the median of three, so that one lucky
    round does not set the bar), or against a baseline. What falls short by more than
    the slack is summed (`page_hinkley`); the sum alarms at the threshold. Slack and
    threshold grow with the noise of the values before.

    Parameters
    ----------
    metrics : mapping of str to {"max", "min"} or None, optional
        What to watch, and whether more or less of it is better; None where the name
        tells. By default every metric whose name does, such as ``val_loss`` and
        ``accuracy``.
    baseline : mapping of str to float, optional
        Hold metrics against these values, such as those of a version in production.
    slack : float
        Part of the best value that a value may fall short by for ever.
    threshold : float
        Part of the best value that all shortfalls beyond the slack may sum to.
    min_points : int
        Values of a metric before anything is judged.
    watch_updates : bool
        Look at the size and direction of updates and at who gave them, too.

    Raises
    ------
    ValueError
        For an option out of its choices.
    """

    metrics: Mapping[str, str | None] | None = None
    baseline: Mapping[str, float] | None = None
    slack: float = 0.02
    threshold: float = 0.05
    min_points: int = 5
    watch_updates: bool = True

    def __post_init__(self) -> None:
        if self.metrics is not None:
            directions = {
                name: known_direction(name, direction, f"metrics[{name!r}]")
                for name, direction in self.metrics.items()
            }
            object.__setattr__(self, "metrics", directions)
        if self.slack < 0 or self.threshold <= 0 or self.min_points < _FEWEST_POINTS:
            raise ValueError(
                "slack is 0 or more, threshold above 0, and min_points 3 or more"
            )

    def with_min_points(self, min_points: int) -> DriftDetector:
        """Return the same detector that judges after so many values."""
        return replace(self, min_points=min_points)

    def findings(
        self,
        measured: Mapping[int, Mapping[str, float]],
        updates: Mapping[int, Mapping[str, float]] | None = None,
    ) -> list[DriftFinding]:
        """Judge the rounds of a run.

        Parameters
        ----------
        measured : mapping of int to mapping of str to float
            By round and name; rounds and metrics may be missing.
        updates : mapping of int to mapping of str to float, optional
            By round, what the update was like (see `UpdateMeter`).

        Returns
        -------
        list of DriftFinding
            The first finding of each metric.
        """
        points = [(f"round {number}", measured[number]) for number in sorted(measured)]
        found = self.performance(points)
        if self.watch_updates and updates:
            found += update_findings(updates)
        return found

    def performance(
        self, points: Sequence[tuple[str, Mapping[str, float]]]
    ) -> list[DriftFinding]:
        """Judge metrics along rounds or versions.

        Parameters
        ----------
        points : sequence of (str, mapping of str to float)
            What each is called, and its metrics, in their order.
        """
        names = dict.fromkeys(name for _, metrics in points for name in metrics)
        return [
            finding
            for name in names
            if (direction := self._direction(name)) is not None
            for finding in self._judge(name, direction, points)
        ]

    def _direction(self, name: str) -> str | None:
        if self.metrics is not None:
            return self.metrics.get(name)
        return None if _GROWS_BY_ITSELF in words_of(name) else direction_of(name)

    def _judge(
        self,
        name: str,
        direction: str,
        points: Sequence[tuple[str, Mapping[str, float]]],
    ) -> Iterator[DriftFinding]:
        known = [(label, each[name]) for label, each in points if name in each]
        sign = 1.0 if direction == "max" else -1.0
        values = [sign * value for _, value in known]
        change = self._change(name, sign, values)
        if change is None:
            return
        since, found = known[change.since][0], known[change.found][0]
        before, now = known[max(0, change.since - 1)][1], known[change.found][1]
        yield DriftFinding(
            kind=DriftKind.PERFORMANCE,
            subject=name,
            since=since,
            found=found,
            statistic=change.statistic,
            threshold=change.threshold,
            severity=DriftSeverity.of(change.statistic, change.threshold),
            message=f"{name} is getting worse since {since}: {before:.4g} before, "
            f"{now:.4g} at {found}",
        )

    def _change(self, name: str, sign: float, values: list[float]) -> Change | None:
        if len(values) <= self.min_points:
            return None
        given = (self.baseline or {}).get(name)
        baseline = None if given is None else sign * given
        return page_hinkley(self._deviations(values, baseline))

    def _deviations(
        self, values: Sequence[float], baseline: float | None
    ) -> Iterator[tuple[float, float, float]]:
        best = _best_so_far(values)
        for place, value in enumerate(values):
            if place < self.min_points:
                yield 0.0, 0.0, float("inf")
                continue
            level = best[place] if baseline is None else baseline
            noise = _noise(values[max(0, place - _NOISE_VALUES) : place])
            slack = max(self.slack * abs(level), 2 * noise)
            threshold = max(self.threshold * abs(level), 6 * noise)
            yield level - value, slack, threshold


def _best_so_far(values: Sequence[float]) -> list[float]:
    """Return for each place the best median of three values in a row before it.

    For the first three places there is none.
    """
    threes = zip(values, values[1:], values[2:], strict=False)
    medians = [sorted(three)[1] for three in threes]
    return [-math.inf] * 3 + list(accumulate(medians, max))


def _noise(values: Sequence[float]) -> float:
    """Estimate the deviation of values that may also rise or fall slowly."""
    steps = [abs(b - a) for a, b in pairwise(values)]
    return _NOISE_OF_DIFFERENCES * statistics.median(steps)
