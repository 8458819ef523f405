"""What a run gives, handed to the writer round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import DriftFinding, MetricSource, RoundFacts, RunProvenance
from flwr_registry.registry import ModelRegistry
from flwr_registry.strategy.drift_rollback import RestoredModel, go_back
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_ending import RoundEnding
from flwr_registry.strategy.round_log import log_promotion, log_summary, log_wait
from flwr_registry.strategy.round_registration import JudgedRound, RoundRegistration
from flwr_registry.strategy.round_snapshot import EndedRound
from flwr_registry.strategy.round_writer import (
    BackgroundWriter,
    RoundWriter,
    SyncWriter,
)
from flwr_registry.strategy.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.run_history import RoundVersion, RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.run_promotion import take_out_of_production
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance

__all__ = ["RunJobs"]

_NOTABLE_SECONDS = 0.1


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
        self._registration = RoundRegistration(tolerate, self._history, self._opened)
        self._ending = RoundEnding(
            options, tolerate, self._history, self._opened_places
        )
        self._writer: RoundWriter = (
            BackgroundWriter()
            if in_background and options.durability == "background"
            else SyncWriter()
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
            self._options.registry.pending_writes.append(self._writer.wait)
        return ledger

    def go_on_after(self, content: CheckpointContent) -> None:
        """Take the rounds of a checkpoint for done."""
        self._history.rounds.update(content.rounds)
        self._registration.recorded_round = content.server_round

    def register(self, judged: JudgedRound) -> None:
        """Have a round's model stored and registered.

        Raises
        ------
        Exception
            What a former job raised, by the user's option; so do the other methods.
        """
        self.finish_round(judged.facts.server_round)
        self._writer.submit(partial(self._registration.register, judged))

    def register_without_model(
        self,
        facts: RoundFacts,
        kept: RoundVersion,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        """Have a round registered that gave no version."""
        self._writer.submit(
            partial(
                self._registration.register_without_model,
                facts,
                kept,
                gave_model=gave_model,
                privacy=privacy,
            )
        )

    def attach_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: RoundVersion | None,
    ) -> None:
        """Have metrics attached to a round and the version that they measured."""
        self._writer.submit(
            partial(
                self._registration.attach_metrics,
                server_round,
                source,
                metrics,
                measured,
            )
        )

    def record_drift(
        self, findings: Sequence[DriftFinding], made: RoundVersion | None
    ) -> None:
        """Have findings of drift kept."""
        self._writer.submit(partial(self._registration.record_drift, findings, made))

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
        self._writer.wait()
        ledger, checkpoints = self._opened_places()
        restored = go_back(
            left, self._history.rounds, ledger, checkpoints, port, tensor_type
        )
        with self._tolerate("take drifted versions out of production"):
            served = take_out_of_production(ledger.registry, ledger.provenance, left)
            if served is not None:
                log_promotion(served, ())
        return restored

    def end(self, ended: EndedRound) -> None:
        """Have done what follows when a round is over."""
        self._writer.submit(partial(self._ending.end, ended))

    def finish_round(self, server_round: int) -> None:
        """Wait until all that was handed over is written."""
        seconds = self._writer.drain()
        if seconds > _NOTABLE_SECONDS:
            log_wait(server_round, seconds)

    def finish(self) -> None:
        """Wait until all is written, and raise what went wrong."""
        self._writer.drain()

    def wait(self) -> None:
        """Wait until all is written, whatever became of it."""
        self._writer.wait()

    def interrupted(self) -> None:
        """Save the last finished round, if it is not saved, before the process ends."""
        self._writer.wait()
        self._ending.interrupted()

    def close(self) -> None:
        """Say what was registered, and let go of database and storage."""
        self._writer.wait()
        if self._ledger is None:
            return
        if isinstance(self._options.registry, ModelRegistry):
            self._options.registry.pending_writes.remove(self._writer.wait)
        log_summary(
            self._ledger.provenance, self._history.versions, self._tolerate.troubles
        )
        self._ledger.close()

    def _opened_places(self) -> tuple[RunLedger, RunCheckpoints]:
        ledger = self._opened()
        assert self._checkpoints is not None
        return ledger, self._checkpoints

    def _opened(self) -> RunLedger:
        if self._ledger is None:
            raise RuntimeError("the registry could not be opened when the run began")
        return self._ledger
