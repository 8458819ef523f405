"""Waits that end, and are heard of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flwr_registry.strategy.tolerance import LOGGER

__all__ = ["heard_of", "is_writing", "wait_aloud", "write_in_this_thread"]

_FIRST_WORD_SECONDS = 1.0
_NEXT_WORD_SECONDS = 10.0

_thread = threading.local()


def write_in_this_thread() -> None:
    """Note that this thread does a writer's own work, which waits for no writer."""
    _thread.is_writing = True


def is_writing() -> bool:
    """Tell whether this thread does a writer's own work."""
    return getattr(_thread, "is_writing", False)


@contextmanager
def heard_of(action: str) -> Iterator[None]:
    """Say after a second that a block takes so long, then every ten."""
    ended = threading.Event()
    began = time.monotonic()

    def say() -> None:
        pause = _FIRST_WORD_SECONDS
        while not ended.wait(pause):
            seconds = time.monotonic() - began
            LOGGER.warning("registry: training waits: %s takes %.0f s", action, seconds)
            pause = _NEXT_WORD_SECONDS

    thread = threading.Thread(target=say, name="flwr-registry-word", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def wait_aloud(
    changed: threading.Condition,
    is_over: Callable[[], bool],
    seconds: float,
    described: Callable[[], str],
) -> bool:
    """Wait for a condition; say so after a second, then every ten.

    Parameters
    ----------
    changed : Condition
        Held by the caller; notified when `is_over` may have changed.
    seconds : float
        How long at most.
    described : callable
        Says what is waited for.

    Returns
    -------
    bool
        Whether it is over.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_WORD_SECONDS
    while not changed.wait_for(is_over, min(pause, deadline - time.monotonic())):
        if time.monotonic() >= deadline:
            return False
        LOGGER.warning("registry: training waits: %s", described())
        pause = _NEXT_WORD_SECONDS
    return True
