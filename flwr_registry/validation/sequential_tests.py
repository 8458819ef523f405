"""A sequential test for a change for the worse, on deviations that come one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Change", "page_hinkley"]


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
