"""What is kept: policies as values, for the bytes of versions and for checkpoints.

A policy is pure: it is told what there is and the time, and says what stays. Policies
are joined by ``|``: what any of them keeps is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    "kept_by",
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
    sound : bool
        It may take a place among the newest or the best. What failed, has metrics that
        are doubted, was withdrawn or superseded takes none.
    """

    order: int
    server_round: int | None = None
    created_at: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False
    sound: bool = True


@runtime_checkable
class RetentionPolicy(Protocol):
    """Says what stays; its text, as `str` gives it, names that in a few words."""

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

    def __str__(self) -> str:
        return "everything"

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return all."""
        return _orders(items)


@dataclass(frozen=True, slots=True)
class LatestN(_Joinable):
    """The newest `n` that are sound stay.

    Raises
    ------
    ValueError
        When `n` is less than 1.
    """

    n: int

    def __post_init__(self) -> None:
        _check_count(self.n)

    def __str__(self) -> str:
        return "the newest" if self.n == 1 else f"the newest {self.n}"

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the newest sound ones by their order."""
        sound = [item for item in items if item.sound]
        sound.sort(key=lambda item: item.order, reverse=True)
        return _orders(sound[: self.n])


@dataclass(frozen=True, slots=True)
class BestN(_Joinable):
    """The best `n` by a metric stay; of equal ones the newer is better.

    What is not sound, or has no finite value of the metric, is not among the best.

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

    def __str__(self) -> str:
        best = "the best" if self.n == 1 else f"the best {self.n}"
        which = "highest" if self.mode == "max" else "lowest"
        return f"{best} by {self.metric} ({which})"

    def kept(self, items: Sequence[Kept], now: datetime) -> frozenset[int]:
        """Return the best of the sound ones that were measured."""
        sign = 1 if self.mode == "max" else -1
        measured = [
            item
            for item in items
            if item.sound and math.isfinite(item.metrics.get(self.metric, math.nan))
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

    def __str__(self) -> str:
        return "each round" if self.n == 1 else f"those of every {self.n} rounds"

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

    def __str__(self) -> str:
        return f"what is younger than {str(self.age).removesuffix(', 0:00:00')}"

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

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(map(str, _parts_of(self))))

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


def kept_by(
    policy: RetentionPolicy, items: Sequence[Kept], now: datetime
) -> dict[int, tuple[RetentionPolicy, ...]]:
    """Tell for each item that a policy keeps which parts of the policy keep it.

    Returns
    -------
    dict of int to tuple of RetentionPolicy
        By `order`. A policy that was not joined is its only part.
    """
    found: dict[int, tuple[RetentionPolicy, ...]] = {}
    for part in _parts_of(policy):
        for order in part.kept(items, now):
            if part not in found.get(order, ()):
                found[order] = (*found.get(order, ()), part)
    return found


def _parts_of(policy: RetentionPolicy) -> Iterator[RetentionPolicy]:
    """Take joined policies apart."""
    if not isinstance(policy, AnyOf):
        yield policy
        return
    for each in policy.policies:
        yield from _parts_of(each)


def _orders(items: Iterable[Kept]) -> frozenset[int]:
    return frozenset(item.order for item in items)


def _number_of(item: Kept) -> int:
    return item.order if item.server_round is None else item.server_round


def _check_count(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"a policy keeps 1 or more, not {n!r}")
