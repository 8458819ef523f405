"""When a checkpoint is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["CheckpointScheduler", "EveryNRounds"]


class CheckpointScheduler(Protocol):
    """Decides at the end of a round whether a checkpoint is due."""

    def due(self, server_round: int) -> bool:
        """Tell whether this round gets a checkpoint.

        Parameters
        ----------
        server_round : int
            Counted from 1.
        """


@dataclass(frozen=True, slots=True)
class EveryNRounds:
    """A checkpoint in each round whose number `num_rounds` divides.

    Parameters
    ----------
    num_rounds : int
        From 1 on.

    Raises
    ------
    ValueError
        For anything less.
    """

    num_rounds: int

    def __post_init__(self) -> None:
        every = self.num_rounds
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"a checkpoint every {every!r} rounds: give 1 or more")

    def due(self, server_round: int) -> bool:
        """Tell whether this round gets a checkpoint."""
        return server_round % self.num_rounds == 0
