"""What is kept: policies as values, for the bytes of versions and for checkpoints.

A policy is pure: it is told what there is and the time, and says what stays. Policies
are joined by ``|``: what any of them keeps is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from flwr_registry.metric_direction import Direction, known_direction

__all__ = [
    "AnyOf",
    "BestN",
    "EveryNth",
    "KeepAll",
    "Kept",
    "LatestN",
    "RetentionPolicy",
    "YoungerThan",
    "removed_by",
]


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is kept so far, as policies see it.

    Attributes
    ----------
    order : int
        Unique; rises from older to newer, with gaps. Clocks order nothing.
    server_round : int or None
        The round that made it, None outside a run.
    created_at : datetime or None
        With time zone; None when unknown.
    metrics : mapping of str to float
        By name, as the most trusted source measured them.
    pinned : bool
        Stays whatever a policy says.
    """

    order: int
    server_round: int | None = None
    created_at: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False


@runtime_checkable
class RetentionPolicy(Protocol):
    """Says what stays."""

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the `order` of each item that stays.

        Parameters
        ----------
        items : sequence of Kept
            All there are, in any order.
        now : datetime
            The present time, with time zone.
        """


class _Joinable:
    """Gives a policy its ``|``."""

    __slots__ = ()

    def __or__(self: RetentionPolicy, other: RetentionPolicy) -> AnyOf:
        if not isinstance(other, RetentionPolicy):
            return NotImplemented
        return AnyOf(self, other)


@dataclass(frozen=True, slots=True)
class KeepAll(_Joinable):
    """Everything stays."""

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return all."""
        return _orders(items)


@dataclass(frozen=True, slots=True)
class LatestN(_Joinable):
    """The newest `n` stay.

    Raises
    ------
    ValueError
        When `n` is less than 1.
    """

    n: int

    def __post_init__(self) -> None:
        _check_count(self.n)

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the newest by their order."""
        newest = sorted(items, key=lambda item: item.order, reverse=True)
        return _orders(newest[: self.n])


@dataclass(frozen=True, slots=True)
class BestN(_Joinable):
    """The best `n` by a metric stay; of equal ones the newer is better.

    What has no finite value of the metric is not among the best.

    Attributes
    ----------
    metric : str
        Name of the metric.
    mode : {"max", "min"}, optional
        Whether the highest or the lowest value is best. By default the metric's name
        tells.

    Raises
    ------
    ValueError
        When `n` is less than 1, for an empty metric or another mode, or where none is
        given and the name does not tell.
    """

    n: int
    metric: str
    mode: Direction | None = None

    def __post_init__(self) -> None:
        _check_count(self.n)
        if not self.metric:
            raise ValueError("the best are chosen by a metric: name one")
        object.__setattr__(self, "mode", known_direction(self.metric, self.mode))

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the best of those that were measured."""
        sign = 1 if self.mode == "max" else -1
        measured = [
            item
            for item in items
            if math.isfinite(item.metrics.get(self.metric, math.nan))
        ]
        measured.sort(
            key=lambda item: (sign * item.metrics[self.metric], item.order),
            reverse=True,
        )
        return _orders(measured[: self.n])


@dataclass(frozen=True, slots=True)
class EveryNth(_Joinable):
    """Those of every `n`-th round stay.

    What no round made counts by its order, which never changes: what was kept once is
    kept the next time too.

    Raises
    ------
    ValueError
        When `n` is less than 1.
    """

    n: int

    def __post_init__(self) -> None:
        _check_count(self.n)

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return those whose round is a multiple of `n`."""
        return _orders(item for item in items if _number_of(item) % self.n == 0)


@dataclass(frozen=True, slots=True)
class YoungerThan(_Joinable):
    """Those made less than `age` ago stay, and those of unknown age.

    Raises
    ------
    ValueError
        When `age` is not above zero.
    """

    age: timedelta

    def __post_init__(self) -> None:
        if self.age <= timedelta(0):
            raise ValueError(f"an age is above zero, not {self.age}")

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return those that are young at the time `now`."""
        return _orders(
            item
            for item in items
            if item.created_at is None or now - item.created_at < self.age
        )


@dataclass(frozen=True, slots=True, init=False)
class AnyOf(_Joinable):
    """What any of the policies keeps stays.

    Raises
    ------
    ValueError
        Without a policy, which would keep nothing.
    TypeError
        For what is no policy.
    """

    policies: tuple[RetentionPolicy, ...]

    def __init__(self, *policies: RetentionPolicy) -> None:
        if not policies:
            raise ValueError("AnyOf needs a policy: without one nothing would stay")
        for policy in policies:
            if not isinstance(policy, RetentionPolicy):
                raise TypeError(f"{policy!r} is no retention policy")
        object.__setattr__(self, "policies", policies)

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the union of what the policies keep."""
        return frozenset().union(*(each.kept(items, now) for each in self.policies))


def removed_by(
    policy: RetentionPolicy, items: Sequence[Kept], now: datetime
) -> list[Kept]:
    """List what a policy gives up, oldest first; pinned items are never given up."""
    kept = policy.kept(items, now)
    gone = (item for item in items if item.order not in kept and not item.pinned)
    return sorted(gone, key=lambda item: item.order)


def _orders(items: Iterable[Kept]) -> frozenset[int]:
    return frozenset(item.order for item in items)


def _number_of(item: Kept) -> int:
    return item.order if item.server_round is None else item.server_round


def _check_count(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"a policy keeps 1 or more, not {n!r}")
