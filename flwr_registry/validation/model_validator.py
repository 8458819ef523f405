"""Is this model fit to use: all checks in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr_registry.errors import WeightsFormatError
from flwr_registry.validation.booster_content import booster_errors
from flwr_registry.validation.checks import (
    MetricRanges,
    checked_ranges,
    enough_nodes,
    finite_values,
    metrics_in_range,
    related_dtypes,
    same_dtypes,
    same_names,
    same_shapes,
)
from flwr_registry.weights import Architecture, Weights

__all__ = ["Candidate", "ModelValidator"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that asks to be registered.

    Attributes
    ----------
    weights : Weights
        The very arrays that would be stored.
    metrics : mapping
        What training reported of it.
    num_nodes : int or None
        How many nodes contributed; None when that is not known.
    before : Weights or None
        The model that training went on with before.
    settled : Architecture or None
        What the run's models look like since its first aggregate.
    """

    weights: Weights
    metrics: Mapping[str, Any] = field(default_factory=dict)
    num_nodes: int | None = None
    before: Weights | None = None
    settled: Architecture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelValidator:
    """Checks a model before it is used, reading each of its bytes once.

    Checked are the names, order, shapes and dtypes of the arrays against a reference,
    values that became NaN or infinite, the sanity of metrics, the number of nodes, and
    whatever `check` adds. Of a serialized model of XGBoost the trees are checked;
    others are not looked into.

    Parameters
    ----------
    reference : Architecture, Weights, mapping of arrays or torch module, optional
        What every model has to look like, its dtypes included; a float may be wider.
        Without it the first aggregate that a run goes on with settles names, order and
        shapes, whatever the initial model is like, and a dtype may not change its kind.
    min_nodes : int
        The fewest nodes that have to contribute.
    metric_ranges : mapping of str to (low, high), optional
        Allowed values of metrics, None for an open side, on both sides for a metric
        that may be anything. By default a loss is not negative, an accuracy lies in
        [0, 1], and both are finite.
    check : callable, optional
        Takes a `Candidate` and gives texts, one for each error.

    Raises
    ------
    TypeError, ValueError
        For a reference, number or range that makes no sense.
    """

    reference: Any = None
    min_nodes: int = 1
    metric_ranges: MetricRanges | None = None
    check: Callable[[Candidate], Iterable[str]] | None = None

    def __post_init__(self) -> None:
        reference = self.reference
        if reference is not None and not isinstance(reference, Architecture):
            object.__setattr__(
                self, "reference", Architecture.of(Weights.of(reference))
            )
        if not isinstance(self.min_nodes, int) or self.min_nodes < 0:
            raise ValueError(f"min_nodes is a number from 0 on, not {self.min_nodes!r}")
        object.__setattr__(self, "metric_ranges", checked_ranges(self.metric_ranges))

    def validate(
        self, state_dict: Any, metrics: Mapping[str, Any] | None = None
    ) -> list[str]:
        """Run every check.

        Parameters
        ----------
        state_dict : mapping of arrays or tensors, torch module, Weights or Candidate
            The model.
        metrics : mapping, optional
            What was measured of it; a `Candidate` brings its own.

        Returns
        -------
        list of str
            All errors in a fixed order, empty when the model is valid. A check that
            fails itself is an error too, and so are arrays that no file can hold.

        Raises
        ------
        TypeError
            For anything that is no model, and for metrics beside a `Candidate`.
        """
        if not isinstance(state_dict, Candidate):
            try:
                state_dict = Candidate(Weights.of(state_dict), metrics or {})
            except WeightsFormatError as error:
                return [str(error), *self._metric_errors(metrics)]
        elif metrics is not None:
            raise TypeError("a Candidate brings its metrics: give them to it")
        return [*self.model_errors(state_dict), *self.metric_errors(state_dict)]

    def model_errors(self, candidate: Candidate) -> list[str]:
        """Find what makes the model itself unfit to train on with.

        Returns
        -------
        list of str
            Errors of its arrays, of the number of nodes, and of the user's own check.
        """
        return [*self._structure(candidate), *self._contents(candidate)]

    def metric_errors(self, candidate: Candidate) -> list[str]:
        """Find metrics that cast doubt on a model whose arrays may be sound."""
        return self._metric_errors(candidate.metrics)

    def _metric_errors(self, metrics: Mapping[str, Any] | None) -> list[str]:
        return list(metrics_in_range(metrics or {}, self.metric_ranges or {}))

    def _structure(self, candidate: Candidate) -> Iterator[str]:
        weights, given = candidate.weights, self.reference
        expected: Architecture | None = given or candidate.settled
        if expected is None:
            return
        if weights.opaque != expected.opaque:
            found, wanted = _kind(weights.opaque), _kind(expected.opaque)
            yield f"the model is {found}, expected {wanted}"
        if weights.opaque or expected.opaque:
            return
        yield from same_names(weights, expected)
        yield from same_shapes(weights, expected)
        yield from (same_dtypes if given else related_dtypes)(weights, expected)

    def _contents(self, candidate: Candidate) -> Iterator[str]:
        if candidate.weights.opaque:
            yield from booster_errors(candidate.weights, candidate.before)
        else:
            yield from finite_values(candidate.weights, candidate.before)
        yield from enough_nodes(candidate.num_nodes, self.min_nodes)
        if self.check is not None:
            yield from _asked(self.check, candidate)


def _asked(
    check: Callable[[Candidate], Iterable[str]], candidate: Candidate
) -> list[str]:
    try:
        found = check(candidate)
        return (
            [found] if isinstance(found, str) else [str(each) for each in found or ()]
        )
    except Exception as error:  # noqa: BLE001
        name = getattr(check, "__name__", type(check).__name__)
        return [f"the check {name} failed itself: {type(error).__name__}: {error}"]


def _kind(opaque: bool) -> str:
    return "a serialized model" if opaque else "arrays"
