"""What validation found in a model, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Consequence", "Verdict"]


class Consequence(Enum):
    """What becomes of training after a round, as its log line says it."""

    GO_ON = "Training goes on with it"
    REJECT = "The last good model stays"
    END = "Training ends"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What speaks against a model.

    Attributes
    ----------
    unfit : tuple of str
        Why it must not be trained on.
    doubts : tuple of str
        What is wrong with its metrics alone: a report may count accuracy in per cent,
        or a loss be negative, while the arrays are sound.
    """

    unfit: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """All of it."""
        return self.unfit + self.doubts

    def consequence(self, on_invalid: str) -> Consequence:
        """Decide what becomes of the round, by the user's option."""
        if self.errors and on_invalid == "raise":
            return Consequence.END
        if self.unfit and on_invalid == "reject":
            return Consequence.REJECT
        return Consequence.GO_ON
