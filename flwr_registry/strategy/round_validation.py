"""What a round's model is held against, and what was found."""

from __future__ import annotations

from flwr_registry.records import RoundFacts
from flwr_registry.strategy.aggregate import Aggregate
from flwr_registry.strategy.contributions import count_of_successes
from flwr_registry.strategy.round_log import log_averaged_counters
from flwr_registry.strategy.verdict import Verdict
from flwr_registry.validation import Candidate, ModelValidator
from flwr_registry.weights import Architecture, Weights

__all__ = ["RoundValidation"]


class RoundValidation:
    """A validator with the first model of the run as its reference.

    Parameters
    ----------
    validator : ModelValidator or None
        The user's; None for the default.

    Attributes
    ----------
    reference : Architecture or None
        None until a model was seen.
    """

    def __init__(self, validator: ModelValidator | None) -> None:
        self._validator = validator or ModelValidator()
        self.reference: Architecture | None = None
        self._counters_are_noted = False

    def take_reference(self, weights: Weights | None) -> None:
        """Hold all later models against this one, if it is the first."""
        if weights is not None and self.reference is None:
            self.reference = Architecture.of(weights)
            self._validator = self._validator.with_reference(self.reference)

    def read(self, aggregate: Aggregate) -> Weights | None:
        """View the model of an aggregate; None when there is none.

        Raises
        ------
        WeightsFormatError
            When it has no arrays, or its bytes are none.
        """
        if not aggregate.has_model:
            return None
        weights = aggregate.read_weights(self.reference)
        if weights.cast_back and not self._counters_are_noted:
            self._counters_are_noted = True
            log_averaged_counters(list(weights.cast_back))
        return weights

    def judge(self, weights: Weights, facts: RoundFacts) -> Verdict:
        """Run all checks on a round's model."""
        num_nodes = count_of_successes(facts.contributions)
        candidate = Candidate(weights, facts.train_metrics, num_nodes)
        return Verdict(
            tuple(self._validator.model_errors(candidate)),
            tuple(self._validator.metric_errors(candidate)),
        )
