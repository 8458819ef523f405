"""Changes of the production version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Promotion"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """One change of a model's production version.

    Attributes
    ----------
    sequence : int
        Counts the changes of a model from 1; clocks order nothing.
    action : str
        ``promote``, ``rollback`` or ``withdraw``.
    from_version, to_version : str or None
        In production before and after; None for nothing.
    reverted : bool
        No rollback goes back over this change any more.
    """

    model: str
    sequence: int
    action: str
    from_version: str | None
    to_version: str | None
    reverted: bool
    actor: str
    reason: str
    created_at: datetime
