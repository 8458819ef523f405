"""All behaviour of a round, without one Flower type."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from flwr_registry.errors import (
    ResumeError,
    RunHeldError,
    ValidationError,
    WeightsFormatError,
)
from flwr_registry.records import MetricSource, RoundFacts
from flwr_registry.strategy.aggregate import Aggregate, Buffers, same_buffers
from flwr_registry.strategy.deciding_metrics import DecidingMetrics
from flwr_registry.strategy.drift.drift_gate import DriftGate
from flwr_registry.strategy.metrics_reader import MetricsReader
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.resume.replay import Replay
from flwr_registry.strategy.resume.resumed_model import ResumedModel, made_of
from flwr_registry.strategy.resume.run_opening import RunOpening
from flwr_registry.strategy.round_progress import RoundProgress
from flwr_registry.strategy.round_snapshot import RoundSnapshots
from flwr_registry.strategy.round_validation import RoundValidation
from flwr_registry.strategy.run_history import (
    CurrentModel,
    MetricsHistory,
    RoundVersion,
)
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.strategy.unseen_models import UnseenModels
from flwr_registry.strategy.verdict import Consequence, Verdict
from flwr_registry.strategy.writing.round_registration import JudgedRound
from flwr_registry.strategy.writing.run_jobs import RunJobs
from flwr_registry.weights import Architecture, Weights

__all__ = ["RoundRecorder"]


class RoundRecorder:
    """Validates what each round gives, and has it stored and registered.

    Parameters
    ----------
    options : RegistryOptions
        What the user chose.
    port : StrategyPort
        The strategy.

    Attributes
    ----------
    tolerate : Tolerance
        Keeps trouble away from training.
    checked_hooks : set of str
        Hooks whose caller was looked at.
    evaluates_centrally : bool
        A central evaluation ends each round.
    metrics_of : callable
        Reads metrics as what a registry keeps of them; what it leaves out is told.
    unseen : UnseenModels
        Notices models that do not come through the strategy.
    """

    def __init__(self, options: RegistryOptions, port: StrategyPort) -> None:
        self.options = options
        self._port = port
        self.checked_hooks: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self.tolerate = Tolerance(self.options.on_error)
        self.evaluates_centrally = False
        self.metrics_of = MetricsReader().read
        self._measured: Buffers = ()
        self._begun = False
        self._num_rounds: int | None = None
        self._settings_are_noted = False
        self._is_told_the_end = False
        self._is_given_known = False
        self._is_handed_out = False
        # Arrays of the message API have names.
        names = None if self._port.speaks_messages else self.options.names
        self._validation = RoundValidation(self.options.validator, names)
        self._model = CurrentModel()
        self._round = RoundProgress()
        self._metrics = MetricsHistory()
        self._snapshots = RoundSnapshots(self.options, self._port, self.tolerate)
        self._deciding = DecidingMetrics(self.options.deciding_metrics)
        self.unseen = UnseenModels(self._port.aggregate_hook)
        self._jobs = RunJobs(self.options, self._port.class_chain, self.tolerate)
        self._opening = RunOpening(self._port)
        self._drift = DriftGate(self.options, self._port, self.tolerate)

    def note_settings(self) -> None:
        """Take what the strategy is as settings, before any of its own hooks ran."""
        if not self._settings_are_noted:
            self._settings_are_noted = True
            with self.tolerate("look at the strategy before training"):
                self._port.note_settings()

    def begin_run(self, flwr_run: Any) -> None:
        """Open the run's place in storage and database; later calls change nothing.

        Parameters
        ----------
        flwr_run : object or None
            What Flower knows of the run.
        """
        if self._begun:
            return
        self._begun = True
        self.note_settings()
        self._port.call_at_exit(self.interrupted)
        # Without `start` only the hooks of the legacy API tell when a round is over.
        self._jobs = RunJobs(
            self.options,
            self._port.class_chain,
            self.tolerate,
            in_background=self._is_told_the_end or not self._port.speaks_messages,
        )
        ledger: RunLedger | None = None
        with self.tolerate("open the registry"):
            ledger = self._jobs.open(self._port.describe_run(flwr_run))
        if ledger is None:
            self._refuse_to_start_blindly()
            return
        self._take_run()
        try:
            self._opening.open(ledger, self.options, self.tolerate, self._jobs.ask)
        except BaseException:
            ledger.refuse()
            raise
        if self._opening.model.weights is not None:
            self._model = self._opening.model
            self._validation.begin_with(self._opening.model.weights)
        if self.replay is not None:
            self._go_on_after(self.replay)

    def _take_run(self) -> None:
        """Refuse to begin while another start of the run is at work."""
        refusal = None
        with self.tolerate("take the run"):
            try:
                self._jobs.take_run()
            except RunHeldError as error:
                refusal = error
        if refusal is not None:
            raise refusal

    def _go_on_after(self, replay: Replay) -> None:
        self._opening.check_given(self._validation.reference.given_fingerprint)
        self._validation.go_on_after(replay.content, self._model.weights)
        self._metrics = MetricsHistory.of(replay.content)
        self._jobs.go_on_after(replay.content)
        self._drift.take_up(self._metrics, replay.last_round)
        self._deciding = DecidingMetrics(self.options.deciding_metrics, is_resumed=True)

    def _refuse_to_start_blindly(self) -> None:
        if self.options.starts_from_something:
            raise ResumeError(
                "what the run shall start from could not be looked for: "
                + self.tolerate.troubles[-1]
            )

    @property
    def replay(self) -> Replay | None:
        """The rounds that a resumed run need not train again."""
        return self._opening.replay

    @property
    def initial_model(self) -> Any:
        """The model of the version that training starts from, None without one."""
        return self._opening.initial_model

    def replays(self, server_round: int) -> bool:
        """Tell whether a round was done before the run was interrupted."""
        return self.replay is not None and self.replay.covers(server_round)

    def end_replayed_round(self, server_round: int) -> None:
        """Note the last hook of a round that is handed back, where it was saved."""
        if self.replay is not None and server_round == self.replay.last_round:
            self._opening.take_up()
        self._let_go_after(server_round)

    def end_after(self, num_rounds: int | None) -> None:
        """Note how many rounds are asked for, None where nobody knows.

        Raises
        ------
        ResumeError
            When it is fewer than are done, and the model of the last is gone.
        """
        self._opening.end_after(num_rounds)
        self._num_rounds = num_rounds

    @contextmanager
    def whole_run(self) -> Iterator[None]:
        """End the run with the block; a round that an exception cut short is left."""
        finished = False
        self._is_told_the_end = True
        try:
            yield
            finished = True
        finally:
            self.end_run(finished=finished)

    def see_model(
        self, buffers: Buffers, read_weights: Callable[[None], Weights | None]
    ) -> None:
        """Note the first model that is seen, which the app gives to begin with."""
        if self._resumed is not None and not self._is_taken:
            self._resumed.note_beginning(buffers)
        is_ours = same_buffers(buffers, self._model.buffers)
        if self._is_given_known or not buffers or is_ours:
            return
        self._is_given_known = True
        weights = None
        with self.tolerate("read the initial model"):
            weights = read_weights(None)
        if weights is None:
            return
        self._opening.check_given(Architecture.of(weights).fingerprint)
        self._validation.note_given(weights)
        if self._model.weights is None:
            self._go_on_with(CurrentModel(buffers, weights))
            self._validation.begin_with(weights)

    def hand_out(self, model: Any) -> Any:
        """Return a model of ours for the app to begin with; what it is given is ours.

        It need not look like the one that the app gave at first.
        """
        self._is_given_known = self._is_handed_out = True
        return model

    def begin_round(self, server_round: int) -> None:
        """Note that a round begins; the one before it is over."""
        current = self._round
        if server_round == current.server_round and not current.is_aggregated:
            # Sent to more nodes, or a second message to the same.
            return
        self.end_round()
        self.unseen.has_begun_a_round = True
        with self.tolerate("look at the strategy before its first round"):
            self._port.note_objects()
        self._opening.take_up()
        if self.replay is not None and not self.replays(server_round):
            self.replay.end()
        self._round = RoundProgress(server_round)

    def choose(self, node_ids: Iterable[str]) -> None:
        """Note to which nodes the round is sent."""
        self._round.choose(node_ids)

    def record(self, server_round: int, aggregate: Aggregate) -> bool:
        """Validate, store and register what a strategy returned.

        Returns
        -------
        bool
            False when the model is rejected: the strategy goes back to its former state
            and Flower keeps the last good model.

        Raises
        ------
        ValidationError
            When the model is invalid and ``on_invalid="raise"``.
        """
        began = time.perf_counter()
        if server_round != self._round.server_round:
            # Aggregated without being configured here, as unit tests of strategies do.
            self.begin_round(server_round)
        self._round.is_aggregated, self._round.lacks_model = True, False
        facts = self._round.facts(aggregate)
        self._metrics.note(
            MetricSource.TRAIN_CLIENTAPP, server_round, aggregate.returned_metrics
        )
        self._round.is_pending = True
        self._port.catch_signals(self.interrupted)
        weights = None
        with self.tolerate(f"read the model of round {server_round}"):
            weights = self._validation.read(aggregate)
        if weights is None:
            self._record_without_model(aggregate, facts)
            return True
        verdict, consequence = self._judge(weights, facts)
        updates = {}
        if not verdict.unfit:
            before = self._model.weights
            updates = self._drift.measure(facts, before, weights, self._metrics)
        made = RoundVersion()
        self._jobs.register(
            JudgedRound(
                facts,
                weights,
                verdict,
                consequence,
                kept=self._model.version,
                made=made,
                privacy=aggregate.privacy,
                began=began,
                updates=updates,
            )
        )
        if consequence is Consequence.END:
            self._jobs.wait()
            raise ValidationError(
                f"the model of round {server_round} failed validation: "
                + "; ".join(verdict.errors),
                errors=verdict.errors,
            )
        if consequence is Consequence.REJECT:
            return False
        self._go_on_with(
            CurrentModel(aggregate.buffers, weights, made, aggregate.tensor_type)
        )
        self._round.made = None if verdict.errors else made
        return True

    def _judge(
        self, weights: Weights, facts: RoundFacts
    ) -> tuple[Verdict, Consequence]:
        verdict = Verdict()
        with self.tolerate(f"validate the model of round {facts.server_round}"):
            trained = self._round.trained
            before = self._model.weights if trained is None else trained
            verdict = self._validation.judge(weights, facts, before)
        self._round.trained = None
        consequence = verdict.consequence(self.options.on_invalid)
        with self.tolerate(f"note the verdict on round {facts.server_round}"):
            self._validation.conclude(weights, verdict, consequence)
        return verdict, consequence

    def model_to_train(self, given: Any) -> Any:
        """Return what a round trains: Flower's model, or one from before a drift.

        Until a new round has given a model, that of the checkpoint takes the place of
        the one that the run began with.
        """
        restored = self._drift.restored
        model = self.model_to_measure(given) if restored is None else restored
        if not same_buffers(self._port.buffers(model), self._model.buffers):
            # A loop of the user's own may make something of what a round gave.
            with suppress(WeightsFormatError):
                self._round.trained = self._port.weights(model)
        return model

    def model_to_measure(self, given: Any) -> Any:
        """Return what a new round evaluates, as `model_to_train` does without drift."""
        if self._resumed is None:
            return given
        stands = self._resumed.stands_for(
            self._port.buffers(given), was_taken=self._is_taken
        )
        return self._resumed.model() if stands else given

    def check_sent(self, models: Iterable[Any]) -> None:
        """See that a resumed run does not send the model that it began with.

        Raises
        ------
        ResumeError
            When it does.
        """
        if self._resumed is not None:
            self._resumed.check_sent(map(self._port.buffers, models))

    @property
    def _resumed(self) -> ResumedModel | None:
        return self._opening.resumed

    @property
    def _is_taken(self) -> bool:
        replay = self.replay
        return self._is_handed_out if replay is None else replay.was_taken

    def _record_without_model(self, aggregate: Aggregate, facts: RoundFacts) -> None:
        self._jobs.register_without_model(
            facts,
            self._model.version,
            gave_model=aggregate.has_model,
            privacy=aggregate.privacy,
        )
        if aggregate.has_model:
            # It could not be read: training goes on with it, but it is no version.
            self._model = CurrentModel(aggregate.buffers)
            self._opening.resumed = None

    def _go_on_with(self, model: CurrentModel) -> None:
        self._opening.resumed = None
        self._model, self._drift.restored = model, None

    def measure(self, server_round: int, buffers: Buffers) -> None:
        """Note the model that an evaluation is about to measure."""
        self._measured = self._round.held = buffers
        self._notice_unseen_model(server_round, buffers)

    def take_measured(self) -> Buffers:
        """Return the model that was measured, and let go of it: it may be the last."""
        measured, self._measured = self._measured, ()
        return measured

    def record_metrics(
        self,
        server_round: int,
        source: MetricSource,
        measured: Any,
        metrics: Mapping[str, Any],
        buffers: Buffers,
    ) -> None:
        """Attach metrics of an evaluation to the version whose weights were measured.

        Parameters
        ----------
        server_round : int
            0 for the initial model, which is no version.
        measured : object
            What the hook returned, for a replay.
        metrics : mapping
            The same as plain metrics; nothing is attached without any.
        buffers : tuple of bytes
            Of the model that was measured.
        """
        self._notice_unseen_model(server_round, buffers)
        self._metrics.note(source, server_round, measured)
        if server_round == self._round.server_round:
            self._round.held = buffers
        if not metrics:
            return
        self._round.is_pending = self._round.server_round > 0
        is_ours = same_buffers(buffers, self._model.buffers)
        version = self._model.version if is_ours else None
        self._jobs.attach_metrics(server_round, source, metrics, version)

    def end_round(self) -> None:
        """Do what follows when the last hook of a round has returned; once a round.

        Raises
        ------
        MetricNotMeasuredError
            When the name of a metric that decides something must be misspelt.
        DriftError
            When the federation is getting worse and ``on_drift="stop"``.
        """
        ended = self._round
        self._notice_unseen_model(ended.server_round)
        if not ended.is_pending:
            return
        ended.is_pending = False
        if ended.lacks_model:
            # Nothing is saved of a round whose model was not seen.
            self._metrics.end_round(ended.server_round)
            return
        made, ended.made = ended.made, None
        held, ended.held = ended.held, ()
        made_of_it = made_of(held, self._model.buffers)
        self._model = replace(self._model, made_of_it=made_of_it)
        findings = self._drift.review(ended.server_round, self._metrics)
        self._model = self._drift.go_back(findings, self._model, self._jobs)
        if made is not None:
            self._deciding.check(
                ended.server_round,
                self._metrics,
                may_come_centrally=self.evaluates_centrally
                or self._port.may_evaluate_centrally,
            )
        self._jobs.end(
            self._snapshots.take(
                ended.server_round,
                self._model,
                None if self._drift.keeps_out(findings) else made,
                self._metrics,
                self._validation.reference,
            )
        )
        if findings:
            self._jobs.record_drift(ended.server_round, findings, made)
        self._let_go_after(ended.server_round)
        if not self._is_told_the_end:
            self._jobs.finish_round(ended.server_round)
            # It may have been the last one.
            if not self._jobs.has_unsaved:
                self._port.leave_signals(self.interrupted)
        self._drift.end_if_chosen(ended.server_round, findings)

    def _let_go_after(self, server_round: int) -> None:
        """Free the run after its last round, where nobody else will tell of its end."""
        if not self._is_told_the_end and server_round == self._num_rounds:
            self._jobs.let_go()

    def _notice_unseen_model(
        self, server_round: int, buffers: Buffers | None = None
    ) -> None:
        if self.replays(server_round):
            return
        has_changed = None
        if buffers is not None:
            is_known = same_buffers(buffers, self._model.buffers)
            has_changed = not is_known and self._drift.restored is None
        if self.unseen.notice(self._round, server_round, has_changed=has_changed):
            self._model = CurrentModel()

    def end_run(self, *, finished: bool) -> None:
        """Let go of database and storage; nothing happens when no run has begun.

        Parameters
        ----------
        finished : bool
            False when an exception ended the run: the round it ended in is incomplete
            then, and gets no checkpoint.
        """
        if not self._begun:
            return
        try:
            if finished:
                self.end_round()
                self._deciding.finish()
                if (
                    self._port.looks_at_each_model
                    and not self.unseen.has_begun_a_round
                    and self.replay is None
                ):
                    self.unseen.notice_run()
                self._opening.end()
                self._jobs.finish()
            else:
                self.interrupted()
        finally:
            self._port.leave_signals(self.interrupted)
            self._jobs.close()
            self._forget()

    def interrupted(self) -> None:
        """Save the last finished round, if it is not saved, before the process ends."""
        self._jobs.interrupted()
