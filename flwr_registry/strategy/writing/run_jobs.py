"""What a run gives, handed to the writer round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.errors import DatabaseError, RegistryError, StorageError
from flwr_registry.records import (
    DriftFinding,
    MetricSource,
    ModelVersion,
    RoundFacts,
    RunProvenance,
)
from flwr_registry.registry import ModelRegistry
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_promotion, log_summary
from flwr_registry.strategy.round_snapshot import EndedRound
from flwr_registry.strategy.run_history import RoundVersion, RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.strategy.verdict import Consequence
from flwr_registry.strategy.writing.background_writer import BackgroundWriter
from flwr_registry.strategy.writing.breaker import Breaker
from flwr_registry.strategy.writing.drift_rollback import (
    RestoredModel,
    go_back,
    read_earlier,
)
from flwr_registry.strategy.writing.hand_over import HandOver
from flwr_registry.strategy.writing.round_ending import RoundEnding
from flwr_registry.strategy.writing.round_registration import (
    JudgedRound,
    RoundRegistration,
)
from flwr_registry.strategy.writing.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.writing.run_promotion import take_out_of_production
from flwr_registry.strategy.writing.write_attempts import Places, WriteAttempts

__all__ = ["RunJobs"]

Result = TypeVar("Result")


class RunJobs:
    """Writes a run's versions, rounds, metrics and checkpoints, in order.

    Each job is handed over and done beside training, unless the run is to be durable at
    once. A round's model is handed over when the round before is written, so that no
    more than two are held and no more than the last round can be lost.

    Parameters
    ----------
    class_chain : str
        Names of the strategy's class and of those that it wraps.
    in_background : bool
        Somebody will ask for `finish`.
    """

    def __init__(
        self,
        options: RegistryOptions,
        class_chain: str,
        tolerate: Tolerance,
        *,
        in_background: bool = False,
    ) -> None:
        self._options = options
        self._class_chain = class_chain
        self._tolerate = tolerate
        self._ledger: RunLedger | None = None
        self._checkpoints: RunCheckpoints | None = None
        self._history = RunHistory()
        places = Places(
            Breaker("storage", StorageError, lambda: self._opened().probe_storage()),
            Breaker("database", DatabaseError, lambda: self._opened().probe_database()),
        )
        writer = BackgroundWriter(options.timeout_seconds)
        self._attempt = WriteAttempts(tolerate, writer, places, options.timeout_seconds)
        self._registration = RoundRegistration(
            self._attempt, self._history, self._opened
        )
        self._ending = RoundEnding(
            options, self._attempt, self._history, self._opened_places
        )
        self._hand_over = HandOver(
            writer,
            tolerate,
            lambda: places.any_down,
            waits_for_each=not in_background or options.durability == "sync",
        )

    def open(self, provenance: RunProvenance) -> RunLedger:
        """Find the run's place in storage.

        Raises
        ------
        RegistryError
            When its address cannot be read.
        """
        ledger = RunLedger(self._options, provenance)
        self._checkpoints = RunCheckpoints(self._options, self._class_chain, ledger)
        self._ledger = ledger
        if isinstance(self._options.registry, ModelRegistry):
            self._options.registry.pending_writes.append(self._hand_over.wait)
        return ledger

    def take_run(self) -> None:
        """Take the run, so that no other start of it writes at the same time.

        Raises
        ------
        RunHeldError
            When another start is at work.
        RegistryError
            When neither storage nor database answers.
        """
        ledger = self._opened()
        with suppress(Exception):
            # What is wrong is told when something is written into it.
            self.ask("open the database", ledger.open_database)
        for error in ledger.hold.take():
            self._attempt.places.note_stalled(error)

    def let_go(self) -> None:
        """Free the run for its next start, when all is written."""
        if self._ledger is not None:
            self._hand_over.do_last("let go of the run", self._ledger.hold.release)

    def go_on_after(self, content: CheckpointContent) -> None:
        """Take the rounds of a checkpoint for done."""
        self._history.rounds.update(content.rounds)
        self._registration.recorded_round = content.server_round

    def ask(self, action: str, work: Callable[[], Result]) -> Result:
        """Have the database asked for something, in time.

        Raises
        ------
        WriteTimeoutError
            When it does not answer in time.
        Exception
            What it raises.
        """
        needs = (self._attempt.places.database,)
        server_round = self._registration.recorded_round
        return self._hand_over.ask(
            action,
            lambda: self._attempt.until_done(action, work, needs, server_round),
        )

    def register(self, judged: JudgedRound) -> None:
        """Have a round's model stored and registered.

        Raises
        ------
        Exception
            What a former job raised, by the user's option; so do the other methods.
        """
        action = f"register the model of round {judged.facts.server_round}"
        if self._hand_over.takes(judged.facts.server_round, action):
            self._hand_over.submit(action, partial(self._registration.register, judged))
        else:
            self._leave_out(
                judged.facts,
                gave_model=judged.consequence is Consequence.GO_ON,
                privacy=judged.privacy,
            )

    def register_without_model(
        self,
        facts: RoundFacts,
        kept: RoundVersion,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        """Have a round registered that gave no version."""
        action = f"record round {facts.server_round}"
        if not self._hand_over.takes(facts.server_round, action):
            self._leave_out(facts, gave_model=gave_model, privacy=privacy)
            return
        self._hand_over.submit(
            action,
            partial(
                self._registration.register_without_model,
                facts,
                kept,
                gave_model=gave_model,
                privacy=privacy,
            ),
        )

    def _leave_out(
        self,
        facts: RoundFacts,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        self._hand_over.submit(
            f"leave out round {facts.server_round}",
            partial(
                self._registration.leave_out,
                facts,
                gave_model=gave_model,
                privacy=privacy,
            ),
        )

    def attach_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: RoundVersion | None,
    ) -> None:
        """Have metrics attached to a round and the version that they measured."""
        self._hand_over.submit(
            f"record metrics of round {server_round}",
            partial(
                self._registration.attach_metrics,
                server_round,
                source,
                metrics,
                measured,
            ),
        )

    def record_drift(
        self,
        server_round: int,
        findings: Sequence[DriftFinding],
        made: RoundVersion | None,
    ) -> None:
        """Have findings of drift kept."""
        self._hand_over.submit(
            "record what drifts",
            partial(self._registration.record_drift, server_round, findings, made),
        )

    def go_back(
        self, left: Set[int], port: StrategyPort, tensor_type: str
    ) -> RestoredModel:
        """Go back to the last model without drift, in training and in production.

        Parameters
        ----------
        left : set of int
            Rounds that drift.

        Raises
        ------
        ResumeError, RegistryError
            When there is none, or it cannot be read.
        """
        carries_arrays = bool(port.export_state().arrays)
        earlier = self.ask(
            "read the model before the drift",
            lambda: read_earlier(
                left,
                self._history.rounds,
                *self._opened_places(),
                carries_arrays=carries_arrays,
            ),
        )
        restored = go_back(earlier, port, tensor_type)
        with self._tolerate("take drifted versions out of production"):
            served = self.ask(
                "take drifted versions out of production",
                partial(self._take_out_of_production, left),
            )
            if served is not None:
                log_promotion(served, ())
        return restored

    def _take_out_of_production(self, left: Set[int]) -> ModelVersion | None:
        ledger = self._opened()
        return take_out_of_production(ledger.registry, ledger.provenance, left)

    def end(self, ended: EndedRound) -> None:
        """Have done what follows when a round is over."""
        action = f"end round {ended.server_round}"
        if self._hand_over.has_room(ended.server_round):
            self._hand_over.submit(action, partial(self._ending.end, ended))
        else:
            self._hand_over.submit(
                action, partial(self._ending.leave_out, due=ended.due)
            )

    def finish_round(self, server_round: int) -> None:
        """Wait until all that was handed over is written."""
        self._hand_over.finish_round(server_round)

    def finish(self) -> None:
        """Wait until all is written, and raise what went wrong."""
        self._hand_over.finish()

    def wait(self) -> None:
        """Wait until all is written, whatever became of it."""
        self._hand_over.wait()

    @property
    def has_unsaved(self) -> bool:
        """Whether `interrupted` would have something to do."""
        return self._hand_over.is_busy or self._ending.has_unsaved

    def interrupted(self) -> None:
        """Save the last finished round, if it is not saved, before the process ends."""
        if self._ledger is None:
            return
        self._hand_over.do_last(
            "save the last finished round", partial(self._interrupted, self._ledger)
        )

    def _interrupted(self, ledger: RunLedger) -> None:
        try:
            self._ending.interrupted()
        finally:
            ledger.hold.release()

    def close(self) -> None:
        """Say what was registered, and let go of database and storage."""
        if self._ledger is None:
            return
        if isinstance(self._options.registry, ModelRegistry):
            self._options.registry.pending_writes.remove(self._hand_over.wait)
        # In the writer's thread: it may still be in a job that needs them.
        self._hand_over.do_last("end the run", partial(self._close, self._ledger))

    def _close(self, ledger: RunLedger) -> None:
        log_summary(
            ledger.provenance,
            self._history.versions,
            self._attempt.missing,
            self._tolerate.troubles,
        )
        ledger.hold.release()
        ledger.close()

    def _opened_places(self) -> tuple[RunLedger, RunCheckpoints]:
        ledger = self._opened()
        assert self._checkpoints is not None
        return ledger, self._checkpoints

    def _opened(self) -> RunLedger:
        if self._ledger is None:
            raise RegistryError("the registry could not be opened when the run began")
        return self._ledger
