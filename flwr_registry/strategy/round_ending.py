"""What follows when a round is over: best, promotion, checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flwr_registry.checkpointing import (
    RoundEnd,
    capture_random_state,
    trusted_metrics,
)
from flwr_registry.errors import MetricNotMeasuredError
from flwr_registry.records import ModelVersion
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_promotion
from flwr_registry.strategy.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.run_history import CurrentModel, RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.state_rollback import StateSnapshot
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.weights import Architecture

__all__ = ["EndedRound", "RoundEnding"]


@dataclass(frozen=True, slots=True)
class EndedRound:
    """A round whose last hook has returned.

    Attributes
    ----------
    model : CurrentModel
        What training goes on with.
    made : ModelVersion or None
        The sound version that the round made.
    reference : Architecture or None
        What models are held against.
    """

    server_round: int
    model: CurrentModel
    made: ModelVersion | None
    history: RunHistory
    reference: Architecture | None


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A round without a checkpoint, and how to get back to its end."""

    ended: EndedRound
    state: StateSnapshot
    random_state: Any


class RoundEnding:
    """Ends the rounds of one run.

    Parameters
    ----------
    places : callable
        Gives the opened ledger and checkpoints; its errors are trouble.
    """

    def __init__(
        self,
        options: RegistryOptions,
        port: StrategyPort,
        tolerate: Tolerance,
        places: Callable[[], tuple[RunLedger, RunCheckpoints]],
    ) -> None:
        self._options = options
        self._port = port
        self._tolerate = tolerate
        self._places = places
        self._saved_at = time.monotonic()
        self._unsaved: _Unsaved | None = None
        self._names_are_checked = False

    def end(self, ended: EndedRound) -> None:
        """Note the best, promote, and write the checkpoint, as far as each is due.

        Raises
        ------
        MetricNotMeasuredError
            When a metric that decides was not measured in the first round with a model.
        """
        metrics = trusted_metrics(ended.history.metrics)
        self._check_names(ended, metrics.get(ended.server_round, {}))
        if ended.made is not None:
            self._note_best(ended.made, metrics.get(ended.server_round, {}))
            self._promote(ended.made)
        seconds = time.monotonic() - self._saved_at
        moment = RoundEnd(ended.server_round, seconds, metrics)
        due = self._options.scheduler.due(moment)
        if not self._save(ended, capture_random_state(), due=due):
            self._hold(ended)

    def interrupted(self) -> None:
        """Write the checkpoint of the last finished round, which was not due."""
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None:
            unsaved.state.restore()
            self._save(unsaved.ended, unsaved.random_state, due=True)

    def begun(self) -> None:
        """Note that training goes on from a round that has its checkpoint."""
        self._names_are_checked = True

    def _check_names(self, ended: EndedRound, measured: dict[str, float]) -> None:
        if self._names_are_checked or ended.made is None:
            return
        self._names_are_checked = True
        for name in sorted(self._options.deciding_metrics - set(measured)):
            known = ", ".join(sorted(measured)) or "nothing"
            raise MetricNotMeasuredError(
                f"the metric {name!r} decides about checkpoints or the best version, "
                f"but round {ended.server_round} measured {known}: correct its name, "
                "or measure it",
                metric=name,
            )

    def _note_best(self, made: ModelVersion, measured: dict[str, float]) -> None:
        name = self._options.best_metric
        if name is None or name not in measured:
            return
        with self._tolerate(f"compare {made.reference} with the best version"):
            ledger, _ = self._places()
            ledger.note_best(made, name, self._options.best_mode)

    def _promote(self, made: ModelVersion) -> None:
        if self._options.gates is None:
            return
        with self._tolerate(f"promote {made.reference}"):
            ledger, _ = self._places()
            log_promotion(made, ledger.promote(made))

    def _save(self, ended: EndedRound, random_state: Any, *, due: bool) -> bool:
        is_saved = False
        with self._tolerate(f"write the checkpoint of round {ended.server_round}"):
            _, checkpoints = self._places()
            is_saved = checkpoints.save(
                ended.server_round,
                ended.model,
                ended.history,
                ended.reference,
                random_state,
                due=due,
            )
        if is_saved:
            self._unsaved = None
            self._saved_at = time.monotonic() if due else self._saved_at
        return is_saved

    def _hold(self, ended: EndedRound) -> None:
        with self._tolerate("remember the strategy's state"):
            # The history goes on; what it holds of later rounds must not count.
            ended = EndedRound(
                ended.server_round,
                ended.model,
                ended.made,
                ended.history.copy(),
                ended.reference,
            )
            self._unsaved = _Unsaved(
                ended, self._port.snapshot(), capture_random_state()
            )
