"""What a version must show before it goes into production, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np

from flwr_registry.errors import counted
from flwr_registry.metric_direction import Direction, known_direction
from flwr_registry.records import ModelVersion
from flwr_registry.registry.versions.metrics import searchable_metrics

__all__ = [
    "BetterThanProduction",
    "FewestContributors",
    "MetricAtLeast",
    "MetricAtMost",
    "PrivacyBudgetAtMost",
    "PromotionGate",
]


@runtime_checkable
class PromotionGate(Protocol):
    """Lets a version into production, or says why not."""

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say why `candidate` may not follow `production`; None when it may."""


@dataclass(frozen=True, slots=True)
class MetricAtLeast:
    """A metric must reach a value.

    Attributes
    ----------
    name : str
        The metric; of several sources the most trusted one counts.
    """

    name: str
    value: float

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say why the metric does not suffice; None when it does."""
        return _compared(candidate, self.name, at_least=self.value)


@dataclass(frozen=True, slots=True)
class MetricAtMost:
    """A metric must not exceed a value."""

    name: str
    value: float

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say why the metric does not suffice; None when it does."""
        return _compared(candidate, self.name, at_most=self.value)


@dataclass(frozen=True, slots=True)
class BetterThanProduction:
    """A metric must be better than that of the production version, if there is one.

    Attributes
    ----------
    margin : float
        By at least so much, as decimal numbers are subtracted: 0.57 is better than 0.56
        by 0.01. With 0, by anything.
    mode : {"max", "min"}, optional
        Whether more or less is better. By default the metric's name tells.

    Raises
    ------
    ValueError
        For a margin or mode that makes no sense; or without a mode, where the name does
        not tell.
    """

    name: str
    margin: float = 0.0
    mode: Direction | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", known_direction(self.name, self.mode))
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin is a number from 0 on, not {self.margin!r}")

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say why the metric is no better; None when it is."""
        mine = _metrics_of(candidate)
        if self.name not in mine:
            return _missing(candidate, self.name)
        if production is None:
            return None
        known = _metrics_of(production)
        if self.name not in known:
            return _missing(production, self.name)
        mine_value, other = mine[self.name], known[self.name]
        better, worse = (
            (mine_value, other) if self.mode == "max" else (other, mine_value)
        )
        gain = Fraction(_decimal(better)) - Fraction(_decimal(worse))
        if better > worse and gain >= Fraction(repr(float(self.margin))):
            return None
        wanted = "higher" if self.mode == "max" else "lower"
        if self.margin:
            wanted += f" by at least {self.margin}"
        return (
            f"{self.name} is {_decimal(mine_value)}, that of {production.reference} "
            f"in production {_decimal(other)}: it has to be {wanted}"
        )


@dataclass(frozen=True, slots=True)
class FewestContributors:
    """So many nodes must have contributed to the round of the version."""

    count: int

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say that too few nodes contributed; None when enough did."""
        if candidate.num_clients >= self.count:
            return None
        given = counted(candidate.num_clients, "node")
        return f"{given} contributed, at least {self.count} have to"


@dataclass(frozen=True, slots=True)
class PrivacyBudgetAtMost:
    """The privacy budget that was spent must be known and within bounds."""

    epsilon: float
    delta: float | None = None

    def refusal(
        self, candidate: ModelVersion, production: ModelVersion | None
    ) -> str | None:
        """Say that too much was spent, or that it is unknown; None when all is well."""
        if candidate.epsilon is None or candidate.delta is None:
            return f"{candidate.reference} has no privacy budget"
        if candidate.epsilon > self.epsilon:
            return (
                f"epsilon {candidate.epsilon:.12g} is spent but has to be at most "
                f"{self.epsilon:.12g}"
            )
        if self.delta is not None and candidate.delta > self.delta:
            return (
                f"delta is {candidate.delta:.12g} but has to be at most "
                f"{self.delta:.12g}"
            )
        return None


def _compared(
    version: ModelVersion,
    name: str,
    *,
    at_least: float = float("-inf"),
    at_most: float = float("inf"),
) -> str | None:
    known = _metrics_of(version)
    if name not in known:
        return _missing(version, name)
    written = _decimal(known[name])
    if at_least <= known[name] <= at_most or at_least <= float(written) <= at_most:
        return None
    bound = f"at least {at_least}" if known[name] < at_least else f"at most {at_most}"
    return f"{name} is {written} but has to be {bound}"


def _decimal(value: float) -> str:
    """Write a metric as the shortest decimal number that it stands for.

    One that comes from a tensor of float32 stands for what float32 prints: 0.57, not
    0.5699999928474426.
    """
    with np.errstate(over="ignore"):
        narrow = np.float32(value)
    return str(narrow) if float(narrow) == value else repr(float(value))


def _metrics_of(version: ModelVersion) -> Mapping[str, float]:
    measured: Any = searchable_metrics(version.metrics)
    return {each.name: each.value for each in measured if each.best_source}


def _missing(version: ModelVersion, name: str) -> str:
    known = ", ".join(_metrics_of(version)) or "none"
    return f"{version.reference} has no metric {name} (it has {known})"
