"""How long an operation may take, known to whatever works for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage.storage_backend import DIGEST

__all__ = [
    "TIMEOUT_SECONDS",
    "Deadline",
    "checked_timeout",
    "running_deadline",
    "timed_out",
    "under",
]

TIMEOUT_SECONDS = 60.0
"""What an operation on a storage may take where nothing else is said."""

_SECONDS_PER_BYTE = 1 / 1024**2


class Deadline:
    """The end of the time that an operation has; one second more for each MiB.

    Parameters
    ----------
    timeout_seconds : float
        From now on.
    outer : Deadline, optional
        Of the operation that this one is a part of; the nearer end counts.
    """

    def __init__(self, timeout_seconds: float, outer: Deadline | None = None) -> None:
        self._outer = outer
        self._begin = time.monotonic()
        self._end = self._begin + timeout_seconds

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
        self._end += count * _SECONDS_PER_BYTE
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
    verb: str, key: str, place: str, deadline: Deadline
) -> StorageTimeoutError:
    """Return the error of an operation whose time is over."""
    thing = f"{key.replace(DIGEST, '*')} in {place}" if key else place
    seconds = deadline.total_seconds
    return StorageTimeoutError(
        f"cannot {verb} {thing}: the storage did not answer within {seconds:.3g} s; "
        "check that it can be reached, and raise timeout_seconds if it is only slow",
        key=key,
        timeout_seconds=seconds,
    )
