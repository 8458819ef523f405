"""How long an operation may take, known to whatever works for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage.storage_backend import DIGEST

__all__ = [
    "SECONDS_PER_BYTE",
    "TIMEOUT_SECONDS",
    "Deadline",
    "GivenUpError",
    "checked_timeout",
    "running_deadline",
    "timed_out",
    "under",
]

TIMEOUT_SECONDS = 60.0
"""What an operation on a storage may take where nothing else is said."""

SECONDS_PER_BYTE = 1 / 1024**2
"""What an operation may take longer where it moves more."""


class GivenUpError(Exception):
    """An operation did not end in its time, or none is begun any more.

    Attributes
    ----------
    seconds : float
        How long it was waited for.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:.3g} s")
        self.seconds = seconds


class Deadline:
    """The end of the time that an operation has; one second more for each MiB.

    Parameters
    ----------
    timeout_seconds : float
        From now on.
    size_bytes : int
        How much is to be moved.
    outer : Deadline, optional
        Of the operation that this one is a part of; the nearer end counts.
    """

    def __init__(
        self,
        timeout_seconds: float,
        *,
        size_bytes: int = 0,
        outer: Deadline | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._outer = outer
        self._begin = time.monotonic()
        self._end = self._begin + timeout_seconds + size_bytes * SECONDS_PER_BYTE

    @property
    def remaining_seconds(self) -> float:
        """What is left of the time; 0 when it is over."""
        remaining = max(self._end - time.monotonic(), 0.0)
        if self._outer is not None:
            remaining = min(remaining, self._outer.remaining_seconds)
        return remaining

    @property
    def total_seconds(self) -> float:
        """The whole of the time, from its begin to its end."""
        total = self._end - self._begin
        if self._outer is not None:
            total = min(total, self._outer.total_seconds)
        return total

    def allow_bytes(self, count: int) -> None:
        """Give the time that so many bytes may take."""
        self._end += count * SECONDS_PER_BYTE
        if self._outer is not None:
            self._outer.allow_bytes(count)

    def give_up(self) -> None:
        """End the time: nobody waits for the operation any more."""
        self._end = min(self._end, time.monotonic())


_RUNNING: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def running_deadline() -> Deadline | None:
    """Return the deadline of the operation that the caller works for, if it has one.

    A storage that learns how much is to be moved calls its `Deadline.allow_bytes`.
    """
    return _RUNNING.get()


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Let a deadline be the one of whatever is called in this context."""
    token = _RUNNING.set(deadline)
    try:
        yield
    finally:
        _RUNNING.reset(token)


def checked_timeout(timeout_seconds: float) -> float:
    """Return a timeout that makes sense.

    Raises
    ------
    ValueError
        When it is no positive number of seconds.
    """
    if not timeout_seconds > 0:
        raise ValueError(
            f"timeout_seconds has to be more than 0, not {timeout_seconds!r}"
        )
    return float(timeout_seconds)


def timed_out(
    verb: str, key: str, place: str, given_up: GivenUpError
) -> StorageTimeoutError:
    """Return the error of an operation that was given up."""
    thing = f"{key.replace(DIGEST, '*')} in {place}" if key else place
    return StorageTimeoutError(
        f"cannot {verb} {thing}: the storage did not answer within "
        f"{given_up.seconds:.3g} s; check that it can be reached, and raise "
        "timeout_seconds if it is only slow",
        key=key,
        timeout_seconds=given_up.seconds,
    )
