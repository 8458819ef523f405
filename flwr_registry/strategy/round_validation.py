"""What a round's model is held against, and what was found."""

from __future__ import annotations

from collections.abc import Sequence

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import RoundFacts, RoundStatus
from flwr_registry.strategy.aggregate import Aggregate
from flwr_registry.strategy.contributions import count_of_successes
from flwr_registry.strategy.round_log import (
    log_first_aggregate,
    log_other_names,
    log_rejected_in_a_row,
    log_widened,
)
from flwr_registry.strategy.run_reference import RunReference
from flwr_registry.strategy.verdict import Consequence, Verdict
from flwr_registry.validation import Candidate, ModelValidator
from flwr_registry.weights import Weights

__all__ = ["RoundValidation"]


class RoundValidation:
    """A validator, and what a run's models looked like before.

    Parameters
    ----------
    validator : ModelValidator or None
        The user's; None for the default.
    names : sequence of str or None
        Those that the user gives to arrays without names.

    Attributes
    ----------
    reference : RunReference
        What the run's models look like.
    """

    def __init__(
        self, validator: ModelValidator | None, names: Sequence[str] | None = None
    ) -> None:
        self._validator = validator or ModelValidator()
        self._names = names
        self.reference = RunReference()
        self._widening_is_told = False
        self._num_rejected = 0

    def go_on_after(self, content: CheckpointContent, weights: Weights | None) -> None:
        """Judge as the run did up to a checkpoint.

        Parameters
        ----------
        weights : Weights or None
            Those of the checkpoint.
        """
        self.reference = RunReference.of(content, weights)
        self._num_rejected = _rejected_in_a_row(content)

    def note_given(self, weights: Weights) -> None:
        """Note the model that the app gave to begin with."""
        self.reference = self.reference.given(weights)

    def begin_with(self, weights: Weights) -> None:
        """Note the model that training begins with."""
        self.reference = self.reference.beginning_with(weights)

    def read(self, aggregate: Aggregate) -> Weights | None:
        """View the model of an aggregate; None when there is none.

        Raises
        ------
        WeightsFormatError
            When it has no arrays, or its bytes are none.
        """
        if not aggregate.has_model:
            return None
        weights = aggregate.read_weights(self.reference.architecture)
        names, self._names = self._names, None
        if names is not None and len(names) != len(aggregate.buffers):
            log_other_names(len(names), len(aggregate.buffers))
        if weights.cast_back and not self._widening_is_told:
            self._widening_is_told = True
            log_widened(weights)
        return weights

    def judge(
        self, weights: Weights, facts: RoundFacts, before: Weights | None
    ) -> Verdict:
        """Run all checks on a round's model.

        Parameters
        ----------
        before : Weights or None
            The model that training went on with.
        """
        num_nodes = count_of_successes(facts.contributions)
        settled = self.reference.settled
        candidate = Candidate(weights, facts.train_metrics, num_nodes, before, settled)
        return Verdict(
            tuple(self._validator.model_errors(candidate)),
            tuple(self._validator.metric_errors(candidate)),
        )

    def conclude(
        self, weights: Weights, verdict: Verdict, consequence: Consequence
    ) -> None:
        """Note what follows from a round's verdict.

        The first model that training goes on with is what later ones are held against.
        Rounds that are rejected one after the other are an error in the log, after two,
        four, eight and so on.
        """
        if consequence is Consequence.GO_ON:
            self._num_rejected = 0
            if not self.reference.is_settled:
                differences = list(self.reference.differences(weights))
                if differences:
                    log_first_aggregate(differences)
                self.reference = self.reference.settled_by(weights)
        elif consequence is Consequence.REJECT:
            self._num_rejected += 1
            if self._num_rejected > 1 and self._num_rejected.bit_count() == 1:
                log_rejected_in_a_row(self._num_rejected, verdict.unfit)


def _rejected_in_a_row(content: CheckpointContent) -> int:
    """Count the rejected rounds at the end of those that are done."""
    count = 0
    for _, finished in sorted(content.rounds.items(), reverse=True):
        if finished.gave_model:
            break
        count += finished.status is RoundStatus.REJECTED
    return count
