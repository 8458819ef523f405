"""What follows when a round is over: best, promotion, checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr_registry.checkpointing import FinishedRound
from flwr_registry.records import ModelVersion
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_promotion
from flwr_registry.strategy.round_snapshot import EndedRound
from flwr_registry.strategy.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.run_history import RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.run_promotion import note_best, promote
from flwr_registry.strategy.tolerance import Tolerance

__all__ = ["RoundEnding"]


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A round without a checkpoint, and what became of those up to it."""

    ended: EndedRound
    rounds: Mapping[int, FinishedRound]


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
        tolerate: Tolerance,
        history: RunHistory,
        places: Callable[[], tuple[RunLedger, RunCheckpoints]],
    ) -> None:
        self._options = options
        self._tolerate = tolerate
        self._history = history
        self._places = places
        self._is_overdue = False
        self._unsaved: _Unsaved | None = None

    def end(self, ended: EndedRound) -> None:
        """Note the best, promote, and write the checkpoint, as far as each is due."""
        made = ended.made.record if ended.made is not None else None
        if made is not None:
            self._note_best(made, ended.measured)
            self._promote(made)
        # One that could not be written is made up for after the next round.
        due = ended.due or self._is_overdue
        rounds = dict(self._history.rounds)
        is_saved = self._save(ended, rounds, due=due)
        self._is_overdue = due and not is_saved
        self._unsaved = None if is_saved else _Unsaved(ended, rounds)

    def interrupted(self) -> None:
        """Write the checkpoint of the last finished round, which was not due."""
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None:
            self._save(unsaved.ended, unsaved.rounds, due=True)

    def _note_best(self, made: ModelVersion, measured: Mapping[str, float]) -> None:
        name = self._options.best_metric
        if name is None or name not in measured:
            return
        with self._tolerate(f"compare {made.reference} with the best version"):
            ledger, _ = self._places()
            note_best(ledger.registry, made, name, self._options.best_mode)

    def _promote(self, made: ModelVersion) -> None:
        if self._options.gates is None:
            return
        with self._tolerate(f"promote {made.reference}"):
            ledger, _ = self._places()
            gates = self._options.gates
            log_promotion(made, promote(ledger.registry, made, gates))

    def _save(
        self, ended: EndedRound, rounds: Mapping[int, FinishedRound], *, due: bool
    ) -> bool:
        is_saved = False
        with self._tolerate(f"write the checkpoint of round {ended.server_round}"):
            _, checkpoints = self._places()
            is_saved = checkpoints.save(ended, rounds, due=due)
        return is_saved
