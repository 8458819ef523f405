"""The checks of a model, each a pure function that gives every error it finds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flwr_registry.metric_direction import direction_of, words_of
from flwr_registry.validation.finite import count_newly_non_finite, count_non_finite
from flwr_registry.weights import Architecture, TensorSpec, Weights

__all__ = [
    "MetricRanges",
    "checked_ranges",
    "enough_nodes",
    "finite_values",
    "metrics_in_range",
    "related_dtypes",
    "same_dtypes",
    "same_names",
    "same_shapes",
]

MetricRanges = Mapping[str, tuple[float | None, float | None]]
"""Lowest and highest value of metrics by name; None leaves a side open."""

_NAMED_MANY = 10
_LOSSES = frozenset({"loss", "losses", "logloss"})
_ACCURACIES = frozenset({"acc", "accuracy", "accuracies"})


def same_names(weights: Weights, reference: Architecture) -> Iterator[str]:
    """Find missing and unexpected arrays, and another order of the same ones.

    Flower's legacy arrays are told apart by their order alone.
    """
    expected = dict.fromkeys(spec.name for spec in reference.tensors)
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    if missing:
        yield f"missing arrays: {_listed(missing)}"
    if unexpected:
        yield f"unexpected arrays: {_listed(unexpected)}"
    if not missing and not unexpected and list(weights) != list(expected):
        yield f"the arrays are in another order: {_listed(list(weights))}"


def same_shapes(weights: Weights, reference: Architecture) -> Iterator[str]:
    """Find arrays of another shape."""
    for spec in _shared(weights, reference):
        shape = weights[spec.name].shape
        if shape != spec.shape:
            yield f"array '{spec.name}' has shape {shape}, expected {spec.shape}"


def same_dtypes(weights: Weights, reference: Architecture) -> Iterator[str]:
    """Find arrays of another dtype.

    A float where an integer was is no error: averaging does that to the counters of
    BatchNorm. Neither is a wider float, which several strategies make of float32 by
    their arithmetic, nor another width of integer.
    """
    for spec in _shared(weights, reference):
        found = weights[spec.name].dtype.newbyteorder("=")
        if not _may_replace(found, spec):
            yield f"array '{spec.name}' has dtype {found}, expected {spec.dtype}"


def related_dtypes(weights: Weights, reference: Architecture) -> Iterator[str]:
    """Find arrays whose dtype is of another kind.

    Floats of any width are one kind, integers another. A float where an integer was is
    no error, as for `same_dtypes`.
    """
    for spec in _shared(weights, reference):
        found = weights[spec.name].dtype.newbyteorder("=")
        kinds = "iubf" if spec.is_integer else np.dtype(spec.dtype).kind
        if found.kind not in kinds:
            yield f"array '{spec.name}' has dtype {found}, expected {spec.dtype}"


def finite_values(weights: Weights, before: Weights | None = None) -> Iterator[str]:
    """Find arrays with values that are NaN or infinite, and count these.

    Parameters
    ----------
    before : Weights, optional
        The model that training went on with. Then only values count that were finite in
        it; arrays that it does not have, or has in another shape, may hold anything.
    """
    for name, array in weights.items():
        if before is None:
            nan, inf = count_non_finite(array)
        else:
            nan, inf = count_newly_non_finite(array, before.get(name))
        counts = [f"{nan} NaN"] * bool(nan) + [f"{inf} Inf"] * bool(inf)
        if counts:
            yield f"array '{name}' has {' and '.join(counts)} among {array.size} values"


def checked_ranges(ranges: MetricRanges | None) -> MetricRanges:
    """Return ranges that make sense.

    Raises
    ------
    ValueError
        Naming the one that does not.
    """
    for name, allowed in (ranges or {}).items():
        sound = isinstance(allowed, tuple | list) and len(allowed) == 2
        if not sound or any(
            side is not None and not isinstance(side, int | float) for side in allowed
        ):
            raise ValueError(
                f"metric_ranges[{name!r}] is (low, high), numbers or None, not "
                f"{allowed!r}"
            )
    return dict(ranges or {})


def metrics_in_range(metrics: Mapping[str, Any], ranges: MetricRanges) -> Iterator[str]:
    """Find metrics that no sound training gives.

    Parameters
    ----------
    metrics : mapping
        Names to whatever a user reports.
    ranges : mapping
        Goes before the ranges that names imply by their last word: a loss is not
        negative, an accuracy lies between 0 and 1. Both have to be finite. A range
        that is open on both sides leaves its metric unchecked.
    """
    for name in sorted(metrics, key=str):
        allowed = ranges.get(name, _implied_range(str(name)))
        if allowed is not None and tuple(allowed) != (None, None):
            yield from _out_of_range(name, metrics[name], allowed)


def enough_nodes(num_nodes: int | None, min_nodes: int) -> Iterator[str]:
    """Find a round that too few nodes contributed to; an unknown number passes."""
    if num_nodes is not None and num_nodes < min_nodes:
        yield f"{num_nodes} nodes contributed, at least {min_nodes} are needed"


def _out_of_range(
    name: str, value: Any, allowed: tuple[float | None, float | None]
) -> Iterator[str]:
    low = -math.inf if allowed[0] is None else allowed[0]
    high = math.inf if allowed[1] is None else allowed[1]
    for number in _numbers(value):
        if math.isfinite(number) and low <= number <= high:
            continue
        yield (
            f"metric {name!r} is {number}, outside [{low:g}, {high:g}]; if that is "
            f"sound, pass metric_ranges={{{name!r}: (None, None)}}, in a run to its "
            f"ModelValidator, or --any-value {name}"
        )
        return


def _numbers(value: Any) -> list[float]:
    """Take the numbers in a metric; none in what is no number."""
    try:
        # Tensors that numpy refuses, for their device or gradient, give plain numbers.
        tolist = getattr(value, "tolist", None)
        plain = tolist() if callable(tolist) else value
        if isinstance(plain, bool | str | bytes):
            return []
        return [float(each) for each in np.ravel(np.asarray(plain, dtype=float))]
    except Exception:  # Of whatever kind: the conversion is the user's code.  # noqa: BLE001
        return []


def _implied_range(name: str) -> tuple[float | None, float | None] | None:
    # The last word says what the number is: the percent, the slope or the log of one
    # lies elsewhere.
    direction, words = direction_of(name), words_of(name)
    if direction == "min" and words[-1] in _LOSSES:
        return 0.0, None
    return (0.0, 1.0) if direction == "max" and words[-1] in _ACCURACIES else None


def _may_replace(found: np.dtype[Any], spec: TensorSpec) -> bool:
    if spec.is_integer:
        return found.kind in "iubf"
    return found == np.dtype(spec.dtype) or (
        spec.is_floating and np.can_cast(spec.dtype, found) and found.kind == "f"
    )


def _shared(weights: Weights, reference: Architecture) -> Iterator[TensorSpec]:
    return (spec for spec in reference.tensors if spec.name in weights)


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED_MANY])
    more = len(names) - _NAMED_MANY
    return f"{shown} and {more} more" if more > 0 else shown
