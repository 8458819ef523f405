"""Threads for operations that may never end, and an end for those who wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from flwr_registry.bounded_calls import BoundedCalls, UnansweredCall
from flwr_registry.storage.deadlines import Deadline, GivenUpError, under

__all__ = ["OperationThreads"]

Result = TypeVar("Result")

# Who keeps to the deadline by itself ends cleaner than who is given up.
_GRACE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 3600.0


class OperationThreads:
    """Run the operations of one storage, each until its deadline."""

    def __init__(self) -> None:
        self._calls = BoundedCalls("flwr-registry-storage")

    def run(
        self,
        work: Callable[[], Result],
        deadline: Deadline,
        drop: Callable[[Result], None] | None = None,
    ) -> Result:
        """Return what `work` returns, or raise what it raises.

        Parameters
        ----------
        drop : callable, optional
            Given the result that came when nobody waited for it any more.

        Raises
        ------
        GivenUpError
            When the time is over, or too many operations are stuck.
        """

        def bounded() -> Result:
            with under(deadline):
                return work()

        try:
            return self._calls.run(
                bounded, _waits(deadline), deadline.give_up, drop=drop
            )
        except UnansweredCall:
            raise GivenUpError(deadline.total_seconds) from None


def _waits(deadline: Deadline) -> Iterator[float]:
    """Wait again while the operation is given more time."""
    while True:
        yield min(deadline.remaining_seconds + _GRACE_SECONDS, _LONGEST_WAIT_SECONDS)
        if not deadline.remaining_seconds:
            return
