"""Findings of drift: what is getting worse, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["DriftFinding", "DriftKind", "DriftSeverity", "RecordedDrift"]


class DriftKind(StrEnum):
    """What drifts."""

    PERFORMANCE = "performance"
    UPDATE = "update"
    INPUT = "input"
    PREDICTION = "prediction"


class DriftSeverity(StrEnum):
    """How bad it is: past its threshold, or past twice of it."""

    WARNING = "warning"
    CRITICAL = "critical"

    @classmethod
    def of(cls, statistic: float, threshold: float) -> DriftSeverity:
        """Judge a statistic, which is worse when it is larger."""
        return cls.CRITICAL if statistic >= 2 * threshold else cls.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFinding:
    """Something that changed for the worse.

    Attributes
    ----------
    kind : DriftKind
        What drifts.
    subject : str
        The metric, or the input or output.
    since : str
        The round or version at which the change began, as text; empty while serving.
    found : str
        The round or version at which it was found.
    statistic, threshold : float
        What the test computed, and what it must not exceed.
    message : str
        The same for people.
    """

    kind: DriftKind
    subject: str
    since: str
    found: str
    statistic: float
    threshold: float
    severity: DriftSeverity
    message: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is about: kind and subject."""
        return self.kind.value, self.subject


@dataclass(frozen=True, slots=True)
class RecordedDrift:
    """A finding as the registry keeps it.

    Attributes
    ----------
    version : str or None
        The version that it is about, of `model`.
    run_name : str or None
        The run in which it was found.
    """

    id: int
    model: str
    version: str | None
    run_name: str | None
    finding: DriftFinding
    created_at: datetime
