"""How the values of inputs and predictions are spread, and how far they have moved.

A reference holds the borders of equally filled bins for each feature; live values are
counted in them, so no value itself is ever kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.records import DriftFinding, DriftKind, DriftSeverity

__all__ = ["LiveDistribution", "TensorReference"]

_BINS = 10
_MAX_FEATURES = 256
_PSI_THRESHOLD = 0.25
_KS_EFFECT = 0.1
_KS_FALSE_ALARMS = 1e-4

MIN_EXAMPLES = 200
"""Fewer live examples are not judged."""


@dataclass(frozen=True, slots=True)
class TensorReference:
    """How the values of one input or output were spread when a version was checked.

    Attributes
    ----------
    borders : numpy.ndarray
        Upper borders of the bins but the last, by feature. A tensor of more than 256
        features is taken for a single one.
    shares : numpy.ndarray
        Of the values in each bin, by feature.
    num_examples : int
        How many were looked at.
    """

    borders: NDArray[np.float64]
    shares: NDArray[np.float64]
    num_examples: int

    @classmethod
    def of(cls, values: NDArray[Any]) -> TensorReference:
        """Describe values, one example in each row.

        Raises
        ------
        ValueError
            For fewer examples than can be judged, or values that are no numbers.
        """
        table = _table(values, None)
        if table.shape[0] < MIN_EXAMPLES or not np.isfinite(table).all():
            raise ValueError(
                f"a reference needs at least {MIN_EXAMPLES} examples of finite numbers"
            )
        parts = np.arange(1, _BINS) / _BINS
        borders = np.quantile(table, parts, axis=0).T
        counts = _counts(table, borders)
        return cls(borders, counts / len(table), len(values))

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> TensorReference:
        """Read what `to_json` wrote."""
        return cls(
            np.asarray(described["borders"], np.float64),
            np.asarray(described["shares"], np.float64),
            int(described["num_examples"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "borders": self.borders.tolist(),
            "shares": self.shares.tolist(),
            "num_examples": self.num_examples,
        }


class LiveDistribution:
    """Counts live values in the bins of a reference, in memory of a fixed size.

    Parameters
    ----------
    window : int
        When so many examples were counted, all counts are halved: what is old fades.
    """

    def __init__(self, reference: TensorReference, window: int = 4096) -> None:
        self._reference = reference
        self._window = window
        self._counts = np.zeros_like(reference.shares)
        self.num_examples = 0.0

    @property
    def is_judged(self) -> bool:
        """Whether enough was counted."""
        return self.num_examples >= MIN_EXAMPLES

    def update(self, values: NDArray[Any]) -> None:
        """Count values, an example in each row; those of another shape are left out."""
        table = _table(values, len(self._reference.borders)) if len(values) else None
        if table is None:
            return
        self._counts += _counts(table, self._reference.borders)
        self.num_examples += len(values)
        if self.num_examples >= self._window:
            self._counts /= 2
            self.num_examples /= 2

    def stability_index(self) -> NDArray[np.float64]:
        """Return the population stability index (PSI) of each feature.

        The sum of ``(p - q) ln(p / q)`` over the bins: below 0.1 is taken for stable,
        above 0.25 for shifted. Source: N. Siddiqi, "Credit risk scorecards" (2006).
        """
        live, reference = self._smoothed()
        terms: NDArray[np.float64] = (live - reference) * np.log(live / reference)
        found: NDArray[np.float64] = terms.sum(axis=1)
        return found

    def kolmogorov_smirnov(self) -> NDArray[np.float64]:
        """Return the largest difference of the distribution functions of each feature.

        At the borders of the bins. Source: F. J. Massey, "The Kolmogorov-Smirnov test
        for goodness of fit", Journal of the American Statistical Association 46 (1951).
        """
        live, reference = self._smoothed()
        steps: NDArray[np.float64] = np.abs(np.cumsum(live - reference, axis=1))
        found: NDArray[np.float64] = steps.max(axis=1)
        return found

    def findings(self, kind: DriftKind, name: str) -> list[DriftFinding]:
        """Judge what was counted; at most one finding, of the feature that moved most.

        Thresholds are raised by what chance does to samples of this size.
        """
        if not self.is_judged:
            return []
        features = len(self._counts)
        unit = 1 / self.num_examples + 1 / self._reference.num_examples
        chance = math.sqrt(unit * math.log(2 * features / _KS_FALSE_ALARMS) / 2)
        judged = (
            ("PSI", self.stability_index(), _PSI_THRESHOLD + (_BINS - 1) * unit * 2),
            ("KS", self.kolmogorov_smirnov(), max(_KS_EFFECT, chance)),
        )
        worst = max(judged, key=lambda each: each[1].max() / each[2])
        test, statistics, threshold = worst
        place = int(statistics.argmax())
        statistic = float(statistics[place])
        if statistic <= threshold:
            return []
        where = f", feature {place}," if features > 1 else ""
        return [
            DriftFinding(
                kind=kind,
                subject=name,
                since="",
                found="",
                statistic=statistic,
                threshold=threshold,
                severity=DriftSeverity.of(statistic, threshold),
                message=f"{kind.value} {name!r}{where} is spread otherwise than in the "
                f"reference: {test} {statistic:.3g} over {threshold:.3g}, "
                f"{self.num_examples:.0f} examples",
            )
        ]

    def _smoothed(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both as shares, none of them 0."""
        live = self._counts + 0.5
        reference = self._reference.shares * self._reference.num_examples + 0.5
        return (
            live / live.sum(axis=1, keepdims=True),
            reference / reference.sum(axis=1, keepdims=True),
        )


def _table(values: NDArray[Any], features: int | None) -> Any:
    """Return values as rows of features; None when there are not so many features."""
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    if table.shape[1] > _MAX_FEATURES:
        table = table.reshape(-1, 1)
    if features is not None and table.shape[1] != features:
        return None
    return table


def _counts(
    table: NDArray[np.float64], borders: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Count the values of each feature in its bins; a NaN is in the last."""
    places = np.stack(
        [
            np.searchsorted(edges, column)
            for edges, column in zip(borders, table.T, strict=True)
        ]
    )
    bins = borders.shape[1] + 1
    offsets = np.arange(len(borders))[:, None] * bins
    flat = np.bincount((places + offsets).ravel(), minlength=len(borders) * bins)
    return flat.reshape(len(borders), bins).astype(np.float64)
