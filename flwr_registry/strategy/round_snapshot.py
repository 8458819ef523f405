"""What a finished round leaves, taken hold of before training goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr_registry.checkpointing import RoundEnd, capture_random_state
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.run_history import (
    CurrentModel,
    MetricsHistory,
    RoundVersion,
)
from flwr_registry.strategy.run_reference import RunReference
from flwr_registry.strategy.state.plain_state import StrategyState
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance

__all__ = ["EndedRound", "RoundSnapshots"]


@dataclass(frozen=True, slots=True)
class EndedRound:
    """A round whose last hook has returned, as it was then.

    Attributes
    ----------
    model : CurrentModel
        What training goes on with.
    made : RoundVersion or None
        The sound version that the round made.
    reference : RunReference
        What the run's models look like.
    metrics : mapping
        Of all rounds, as a checkpoint holds them.
    measured : mapping of str to float
        In this round.
    due : bool
        It gets a checkpoint.
    state : StrategyState or None
        Of the strategy; None when it could not be taken.
    random_state : object
        Of Python's and numpy's global generators.
    """

    server_round: int
    model: CurrentModel
    made: RoundVersion | None
    reference: RunReference
    metrics: Mapping[str, Mapping[int, Any]]
    measured: Mapping[str, float]
    due: bool
    state: StrategyState | None
    random_state: Any


class RoundSnapshots:
    """Takes hold of what each round of a run leaves."""

    def __init__(
        self, options: RegistryOptions, port: StrategyPort, tolerate: Tolerance
    ) -> None:
        self._options = options
        self._port = port
        self._tolerate = tolerate
        self._was_due_at = time.monotonic()

    def take(
        self,
        server_round: int,
        model: CurrentModel,
        made: RoundVersion | None,
        metrics: MetricsHistory,
        reference: RunReference,
    ) -> EndedRound:
        """Take hold of a round's end."""
        measured = metrics.end_round(server_round)
        state = None
        with self._tolerate("take hold of the strategy's state"):
            state = self._port.export_state()
        return EndedRound(
            server_round=server_round,
            model=model,
            made=made,
            reference=reference,
            metrics=metrics.copy(),
            measured=measured,
            due=self._is_due(server_round, metrics),
            state=state,
            random_state=capture_random_state(),
        )

    def _is_due(self, server_round: int, metrics: MetricsHistory) -> bool:
        now = time.monotonic()
        moment = RoundEnd(server_round, now - self._was_due_at, metrics.trusted)
        due = self._options.scheduler.due(moment)
        if due:
            self._was_due_at = now
        return due
