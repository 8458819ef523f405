"""Sequential tests for a change for the worse, on deviations that come one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Change", "adwin", "page_hinkley"]


@dataclass(frozen=True, slots=True)
class Change:
    """Where a test saw a change.

    Attributes
    ----------
    since : int
        Place of the first value after the change.
    found : int
        Place of the value at which the test was sure.
    statistic, threshold : float
        What was computed, and what it exceeded.
    """

    since: int
    found: int
    statistic: float
    threshold: float


def page_hinkley(
    deviations: Iterable[tuple[float, float, float]],
) -> Change | None:
    """Find a lasting rise by the Page-Hinkley test.

    Deviations beyond a slack are summed, from 0 on and never below; the sum alarms when
    it exceeds a threshold. Source: E. S. Page, "Continuous inspection schemes",
    Biometrika 41 (1954); D. V. Hinkley, "Inference about the change-point from
    cumulative sum tests", Biometrika 58 (1971).

    Parameters
    ----------
    deviations : iterable of (deviation, slack, threshold)
        Positive deviations are worse.

    Returns
    -------
    Change or None
        The first one.
    """
    total, since = 0.0, 0
    for place, (deviation, slack, threshold) in enumerate(deviations):
        if total <= 0:
            total, since = 0.0, place
        total += deviation - slack
        if total > threshold:
            return Change(since, place, total, threshold)
    return None


def adwin(values: Sequence[float], confidence: float = 0.002) -> Change | None:
    """Find a rise of the mean by adaptive windowing (ADWIN).

    The window drops its older part whenever two parts of it differ in their means by
    more than chance allows; a drop after which the mean is higher is a change. All cuts
    are tried, as in the paper's ADWIN0, which sequences of rounds are short enough for.
    Source: A. Bifet and R. Gavalda, "Learning from time-changing data with adaptive
    windowing", SIAM International Conference on Data Mining (2007), theorem 3.2.

    Parameters
    ----------
    values : sequence of float
        Larger is worse. They are scaled by their range.
    confidence : float
        Chance of a false alarm at a cut, the paper's delta.

    Returns
    -------
    Change or None
        The first one.
    """
    if not values:
        return None
    lowest, span = min(values), max(values) - min(values)
    scaled = [(value - lowest) / span if span else 0.0 for value in values]
    start = 0
    for end in range(2, len(scaled) + 1):
        cut = _cut(scaled[start:end], confidence)
        while cut is not None:
            place, rise, allowed = cut
            start += place
            if rise > 0:
                return Change(start, end - 1, rise * span, allowed * span)
            cut = _cut(scaled[start:end], confidence)
    return None


def _cut(window: Sequence[float], confidence: float) -> tuple[int, float, float] | None:
    """Return the clearest cut: its place, how much the mean rises, what chance allows.

    None when chance explains every difference.
    """
    count = len(window)
    if count < 2:
        return None
    sums = list(accumulate(window))
    mean = sums[-1] / count
    variance = sum((value - mean) ** 2 for value in window) / count
    doubt = math.log(2 * count / confidence)
    best = None
    for place in range(1, count):
        before, after = (
            sums[place - 1] / place,
            (sums[-1] - sums[place - 1]) / (count - place),
        )
        harmonic = 1 / (1 / place + 1 / (count - place))
        allowed = math.sqrt(2 / harmonic * variance * doubt) + 2 / 3 / harmonic * doubt
        excess = abs(after - before) - allowed
        if excess > 0 and (best is None or excess > best[0]):
            best = excess, place, after - before, allowed
    return None if best is None else best[1:]
