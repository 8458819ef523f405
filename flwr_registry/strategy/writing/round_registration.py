"""Registering what a round gave; trouble with it is kept from training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flwr_registry.records import DriftFinding, MetricSource, RoundFacts, RoundStatus
from flwr_registry.strategy.round_log import (
    log_doubts,
    log_invalid,
    log_version,
    log_without_model,
)
from flwr_registry.strategy.run_history import RoundVersion, RunHistory
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.verdict import Consequence, Verdict
from flwr_registry.strategy.writing.write_attempts import WriteAttempts
from flwr_registry.weights import Weights

__all__ = ["JudgedRound", "RoundRegistration"]


@dataclass(frozen=True, slots=True)
class JudgedRound:
    """A round's model after validation.

    Attributes
    ----------
    kept : RoundVersion
        What training had before.
    made : RoundVersion
        What the model becomes.
    privacy : tuple of float or None
        Epsilon and delta spent so far.
    began : float
        When the round's aggregate was returned, as `time.perf_counter` counts.
    updates : mapping of str to float
        What the round's update was like.
    """

    facts: RoundFacts
    weights: Weights
    verdict: Verdict
    consequence: Consequence
    kept: RoundVersion
    made: RoundVersion
    privacy: tuple[float, float] | None
    began: float
    updates: Mapping[str, float] = field(default_factory=dict)


class RoundRegistration:
    """Writes rounds, versions and metrics into the ledger of a run.

    Parameters
    ----------
    attempt : WriteAttempts
        Does what touches storage and database, as long as that may help.
    history : RunHistory
        Where each round's end is noted.
    opened : callable
        Gives the ledger.

    Attributes
    ----------
    recorded_round : int
        The last round that has its row.
    """

    def __init__(
        self,
        attempt: WriteAttempts,
        history: RunHistory,
        opened: Callable[[], RunLedger],
    ) -> None:
        self._attempt = attempt
        self._history = history
        self._opened = opened
        self.recorded_round = 0

    def register(self, judged: JudgedRound) -> None:
        """Store a round's model and register it."""
        facts, errors = judged.facts, judged.verdict.errors
        self._attempt(
            f"register the model of round {facts.server_round}",
            partial(self._store, judged),
            self._attempt.places.both,
            facts.server_round,
        )
        version = judged.made.record
        self._history.note_round(
            facts,
            version,
            gave_model=judged.consequence is Consequence.GO_ON,
            privacy=judged.privacy,
        )
        if errors:
            log_invalid(facts, version, errors, judged.consequence, judged.kept.record)
        elif version is not None:
            log_version(facts, version, time.perf_counter() - judged.began)
        if version is None:
            self._attempt.missing.append(facts.server_round)

    def _store(self, judged: JudgedRound) -> None:
        judged.made.record = self._opened().register(
            judged.weights,
            judged.facts,
            parent=judged.kept.record,
            errors=judged.verdict.errors,
            privacy=judged.privacy,
            updates=judged.updates,
        )
        self.recorded_round = judged.facts.server_round

    def leave_out(
        self,
        facts: RoundFacts,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        """Note a round that could not be written, for it would have had to wait."""
        self._history.note_round(facts, None, gave_model=gave_model, privacy=privacy)
        self._attempt.missing.append(facts.server_round)

    def register_without_model(
        self,
        facts: RoundFacts,
        kept: RoundVersion,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        """Register a round that gave no version.

        Parameters
        ----------
        gave_model : bool
            It gave a model that could not be read.
        """
        self._history.note_round(facts, None, gave_model=gave_model, privacy=privacy)
        if not gave_model:
            log_without_model(facts.server_round, kept.record)
        self._attempt(
            f"record round {facts.server_round}",
            partial(self._record, facts, kept, gave_model=gave_model),
            (self._attempt.places.database,),
            facts.server_round,
        )

    def _record(
        self, facts: RoundFacts, kept: RoundVersion, *, gave_model: bool
    ) -> None:
        measured = None if gave_model else kept.record
        self._opened().record_round(facts, RoundStatus.NO_RESULT, measured)
        self.recorded_round = facts.server_round

    def record_drift(
        self,
        server_round: int,
        findings: Sequence[DriftFinding],
        made: RoundVersion | None,
    ) -> None:
        """Keep findings of drift, beside the version of the round that showed them."""
        version = made.record if made is not None else None
        self._attempt(
            "record what drifts",
            lambda: self._opened().record_drift(findings, version),
            (self._attempt.places.database,),
            server_round,
        )

    def attach_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: RoundVersion | None,
    ) -> None:
        """Attach metrics to a round and to the version that they measured.

        The initial model, of round 0, is no version, nor is one that could not be
        registered.
        """
        if server_round == 0 or server_round != self.recorded_round:
            return
        self._attempt(
            f"record the {source.value} metrics of round {server_round}",
            partial(self._attach, server_round, source, metrics, measured),
            (self._attempt.places.database,),
            server_round,
        )

    def _attach(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: RoundVersion | None,
    ) -> None:
        before = measured.record if measured is not None else None
        after = self._opened().record_metrics(server_round, source, metrics, before)
        if measured is None or before is None or after is None:
            return
        doubts = after.validation_errors[len(before.validation_errors) :]
        if doubts:
            measured.record = after
            self._history.note_doubts(after)
            log_doubts(after, doubts)
