"""When a checkpoint is written: frozen values that can be joined by ``|``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from flwr_registry.metric_direction import Direction, known_direction

__all__ = [
    "AnyDue",
    "CheckpointScheduler",
    "EveryNRounds",
    "EverySeconds",
    "OnImprovement",
    "RoundEnd",
]


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """The moment at which a scheduler is asked.

    Attributes
    ----------
    server_round : int
        Counted from 1.
    seconds_since_last : float
        Since the last checkpoint, or since the run began.
    metrics : mapping of int to mapping of str to float
        Of each round so far, as the most trusted source measured them.
    """

    server_round: int
    seconds_since_last: float = 0.0
    metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


@runtime_checkable
class CheckpointScheduler(Protocol):
    """Decides at the end of a round whether a checkpoint is due."""

    def due(self, end: RoundEnd) -> bool:
        """Tell whether this round gets a checkpoint."""

    def metric_names(self) -> frozenset[str]:
        """Return the metrics without which it cannot decide."""


class _Joinable:
    """Gives a scheduler its ``|``."""

    __slots__ = ()

    def __or__(self: CheckpointScheduler, other: CheckpointScheduler) -> AnyDue:
        if not isinstance(other, CheckpointScheduler):
            return NotImplemented
        return AnyDue(self, other)


@dataclass(frozen=True, slots=True)
class EveryNRounds(_Joinable):
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

    def due(self, end: RoundEnd) -> bool:
        """Tell whether this round gets a checkpoint."""
        return end.server_round % self.num_rounds == 0

    def metric_names(self) -> frozenset[str]:
        """Return none."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class EverySeconds(_Joinable):
    """A checkpoint at the end of the first round after so many seconds.

    Raises
    ------
    ValueError
        For a negative number.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"a checkpoint every {self.seconds!r} s: give 0 or more")

    def due(self, end: RoundEnd) -> bool:
        """Tell whether this round gets a checkpoint."""
        return end.seconds_since_last >= self.seconds

    def metric_names(self) -> frozenset[str]:
        """Return none."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class OnImprovement(_Joinable):
    """A checkpoint in each round that is better than all before it.

    Parameters
    ----------
    metric : str
        As the most trusted source measured it: centrally, then by the nodes that
        evaluate, then in training.
    mode : {"max", "min"}, optional
        Which is better. By default the metric's name tells.

    Raises
    ------
    ValueError
        For another mode; or where none is given and the name does not tell.
    """

    metric: str
    mode: Direction | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", known_direction(self.metric, self.mode))

    def due(self, end: RoundEnd) -> bool:
        """Tell whether this round gets a checkpoint."""
        sign = 1 if self.mode == "max" else -1
        known = {
            server_round: sign * measured[self.metric]
            for server_round, measured in end.metrics.items()
            if self.metric in measured
        }
        mine = known.pop(end.server_round, None)
        return mine is not None and all(mine > other for other in known.values())

    def metric_names(self) -> frozenset[str]:
        """Return the one that is compared."""
        return frozenset({self.metric})


@dataclass(frozen=True, slots=True, init=False)
class AnyDue(_Joinable):
    """A checkpoint whenever one of the schedulers wants it.

    Raises
    ------
    ValueError
        Without a scheduler.
    TypeError
        For what is none.
    """

    schedulers: tuple[CheckpointScheduler, ...]

    def __init__(self, *schedulers: CheckpointScheduler) -> None:
        if not schedulers:
            raise ValueError("AnyDue needs a scheduler: without one none is ever due")
        for each in schedulers:
            if not isinstance(each, CheckpointScheduler):
                raise TypeError(f"{each!r} is no checkpoint scheduler")
        object.__setattr__(self, "schedulers", schedulers)

    def due(self, end: RoundEnd) -> bool:
        """Tell whether this round gets a checkpoint."""
        return any(each.due(end) for each in self.schedulers)

    def metric_names(self) -> frozenset[str]:
        """Return those of all."""
        return frozenset().union(*(each.metric_names() for each in self.schedulers))
