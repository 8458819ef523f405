"""What follows when a round is over: best, promotion, checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from flwr_registry.checkpointing import FinishedRound
from flwr_registry.records import ModelVersion
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_promotion
from flwr_registry.strategy.round_snapshot import EndedRound
from flwr_registry.strategy.run_history import RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.writing.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.writing.run_promotion import note_best, promote
from flwr_registry.strategy.writing.write_attempts import WriteAttempts

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
    attempt : WriteAttempts
        Does what touches storage and database, as long as that may help.
    opened : callable
        Gives the opened ledger and checkpoints.
    """

    def __init__(
        self,
        options: RegistryOptions,
        attempt: WriteAttempts,
        history: RunHistory,
        opened: Callable[[], tuple[RunLedger, RunCheckpoints]],
    ) -> None:
        self._options = options
        self._attempt = attempt
        self._history = history
        self._opened = opened
        self._is_overdue = False
        self._unsaved: _Unsaved | None = None

    def end(self, ended: EndedRound) -> None:
        """Note the best, promote, and write the checkpoint, as far as each is due."""
        self._note_best(ended)
        made = ended.made.record if ended.made is not None else None
        if made is not None:
            self._promote(made, ended)
        # One that could not be written is made up for after the next round.
        due = ended.due or self._is_overdue
        rounds = dict(self._history.rounds)
        is_saved = self._save(ended, rounds, due=due)
        self._is_overdue = due and not is_saved
        self._unsaved = None if is_saved else _Unsaved(_slim(ended), rounds)

    @property
    def has_unsaved(self) -> bool:
        """Whether the last finished round has no checkpoint."""
        return self._unsaved is not None

    def interrupted(self) -> None:
        """Write the checkpoint of the last finished round, which was not due."""
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None:
            self._save(unsaved.ended, unsaved.rounds, due=True)

    def leave_out(self, *, due: bool) -> None:
        """Have the checkpoint of a round that could not be written made up for."""
        self._is_overdue = self._is_overdue or due

    def _note_best(self, ended: EndedRound) -> None:
        name, mode = self._options.best_metric, self._options.best_mode
        if name is None or name not in ended.measured:
            return
        self._attempt(
            f"find the best version after round {ended.server_round}",
            lambda: note_best(
                self._ledger.registry, self._ledger.provenance.model, name, mode
            ),
            (self._attempt.places.database,),
            ended.server_round,
        )

    def _promote(self, made: ModelVersion, ended: EndedRound) -> None:
        gates = self._options.gates
        if gates is None:
            return
        self._attempt(
            f"promote {made.reference}",
            lambda: log_promotion(made, promote(self._ledger.registry, made, gates)),
            self._attempt.places.both,
            ended.server_round,
        )

    def _save(
        self, ended: EndedRound, rounds: Mapping[int, FinishedRound], *, due: bool
    ) -> bool:
        action = f"write the checkpoint of round {ended.server_round}"
        needs = (self._attempt.places.storage,)

        def save() -> bool:
            self._opened()[1].save(ended, rounds, due=due)
            return True

        if not self._opened()[1].is_worth(ended, due=due):
            return False
        return bool(self._attempt(action, save, needs, ended.server_round))

    @property
    def _ledger(self) -> RunLedger:
        return self._opened()[0]


def _slim(ended: EndedRound) -> EndedRound:
    """Let go of a model that is a version: its bytes are stored."""
    if ended.model.version.record is None:
        return ended
    model = replace(ended.model, buffers=(), weights=None)
    return replace(ended, model=model)
