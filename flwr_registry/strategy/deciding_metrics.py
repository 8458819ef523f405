"""Whether the metrics that decide something are measured at all."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from flwr_registry.checkpointing import flat_metrics
from flwr_registry.errors import MetricNotMeasuredError, did_you_mean
from flwr_registry.records import MetricSource
from flwr_registry.strategy.round_log import log_metric_missing
from flwr_registry.strategy.run_history import MetricsHistory

__all__ = ["DecidingMetrics"]

_EVALUATIONS = (MetricSource.EVALUATE_CLIENTAPP, MetricSource.EVALUATE_SERVERAPP)


class DecidingMetrics:
    """Looks for the metrics by which the user lets something be decided.

    A name that nothing measures ends training, but only where it must be misspelt: each
    evaluation that there is has answered, and none knows it. One that is measured every
    few rounds, or by nodes that did not answer yet, may still come.

    Parameters
    ----------
    names : set of str
        What decides.
    is_resumed : bool
        The run was checked when it began, and goes on whatever it measures now.
    """

    def __init__(self, names: Set[str], *, is_resumed: bool = False) -> None:
        self._missing = set(names)
        self._may_end = not is_resumed
        self._is_told = False

    def check(
        self, server_round: int, history: MetricsHistory, *, may_come_centrally: bool
    ) -> None:
        """Look at a round that is over and has a model.

        Parameters
        ----------
        may_come_centrally : bool
            The server may evaluate, whether it did so far or not.

        Raises
        ------
        MetricNotMeasuredError
            When a name must be misspelt.
        """
        if not self._missing:
            return
        answers = {
            source: [flat_metrics(each) for each in by_round.values()]
            for source, by_round in history.returned.items()
        }
        known = {name for given in answers.values() for each in given for name in each}
        self._missing -= known
        if not self._missing:
            return
        name = min(self._missing)
        asked = [each.value for each in _EVALUATIONS if answers[each.value]]
        central = MetricSource.EVALUATE_SERVERAPP.value
        if may_come_centrally:
            asked = sorted({*asked, central})
        else:
            asked = [source for source in asked if source != central]
        answered = _names_in(history, server_round)
        is_complete = all(any(answers[source]) for source in asked)
        if self._may_end and answered and is_complete:
            raise MetricNotMeasuredError(
                f"the metric {name!r} decides about checkpoints or the best version, "
                f"but round {server_round} measured {', '.join(sorted(known))}: "
                "correct its name, or measure it "
                f"({did_you_mean(name, sorted(known))})",
                metric=name,
            )
        if not self._is_told:
            self._is_told = True
            log_metric_missing(name, server_round, sorted(known))

    def finish(self) -> None:
        """Say at the end of the run what never came."""
        for name in sorted(self._missing) if self._is_told else ():
            log_metric_missing(name, None, ())


def _names_in(history: MetricsHistory, server_round: int) -> set[str]:
    """Return what the evaluations of a round measured."""
    found: set[str] = set()
    for source in _EVALUATIONS:
        measured: Any = history.returned[source.value].get(server_round)
        found |= flat_metrics(measured).keys()
    return found
