"""What differs between two versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "ContributorsDiff",
    "LayerDiff",
    "LayerMismatch",
    "MetricChange",
    "SettingChange",
    "VersionDiff",
    "WeightsDiff",
]


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """How far two arrays of one shape lie apart, summed in double precision.

    Complex numbers count as pairs of numbers. What is not finite stays so.

    Attributes
    ----------
    name : str
        Of the layer; empty for all compared layers together.
    norm_a, norm_b, norm_difference : float
        Euclidean norms of `a`, of `b`, and of ``b - a``.
    largest_change : float
        Largest absolute value in ``b - a``.
    """

    name: str
    norm_a: float
    norm_b: float
    norm_difference: float
    largest_change: float
    cosine: float | None
    """Of the angle between them; None where a norm is zero or not finite."""

    @property
    def relative_change(self) -> float | None:
        """Norm of the difference by the norm of `a`; None where that is zero."""
        if self.norm_difference == 0:
            return 0.0
        return self.norm_difference / self.norm_a if self.norm_a else None


@dataclass(frozen=True, slots=True)
class LayerMismatch:
    """A layer whose shape or dtype differs, so that nothing can be subtracted."""

    name: str
    dtype_a: str
    dtype_b: str
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WeightsDiff:
    """What differs in the weights.

    Attributes
    ----------
    identical : bool
        The stored files are the same, byte for byte.
    opaque : bool
        At least one is a serialized model without layers: nothing else is compared.
    layers : tuple of LayerDiff
        Of each layer that both have, in the order of `a`.
    total : LayerDiff or None
        Of all these layers as one long vector.
    mismatched : tuple of LayerMismatch
        Layers of one name that cannot be compared.
    only_in_a, only_in_b : tuple of str
        Names of layers.
    """

    identical: bool
    opaque: bool = False
    layers: tuple[LayerDiff, ...] = ()
    total: LayerDiff | None = None
    mismatched: tuple[LayerMismatch, ...] = ()
    only_in_a: tuple[str, ...] = ()
    only_in_b: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric in two versions.

    Attributes
    ----------
    source : str
        Who measured, as in `MetricSource`.
    a, b : any
        The values, None where there is none.
    change : float or None
        ``b - a``, where both are numbers.
    """

    source: str
    name: str
    a: Any
    b: Any
    change: float | None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting that differs, named like ``model_config.optimizer.rate``.

    Attributes
    ----------
    a, b : any
        The values, None where there is none.
    """

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class ContributorsDiff:
    """Names of the nodes that gave to the rounds that made two versions."""

    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    both: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What differs between version `a` and version `b`.

    Attributes
    ----------
    a, b : str
        References of the two.
    weights : WeightsDiff or None
        None where retention removed the bytes of one of them.
    metrics : tuple of MetricChange
        Every metric that one of them has.
    configuration : tuple of SettingChange
        What differs in metadata, model configuration and the runs' configurations.
    """

    a: str
    b: str
    weights: WeightsDiff | None
    metrics: tuple[MetricChange, ...]
    contributors: ContributorsDiff
    configuration: tuple[SettingChange, ...]
