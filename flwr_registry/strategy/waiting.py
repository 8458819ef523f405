"""Waits that end, and are heard of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from flwr_registry.strategy.tolerance import LOGGER

__all__ = [
    "do_aloud",
    "is_writing",
    "wait_aloud",
    "without_exits",
    "write_in_this_thread",
]

Result = TypeVar("Result")

_FIRST_WORD_SECONDS = 1.0
_NEXT_WORD_SECONDS = 10.0

_thread = threading.local()


def write_in_this_thread() -> None:
    """Note that this thread does a writer's own work, which waits for no writer."""
    _thread.is_writing = True


def is_writing() -> bool:
    """Tell whether this thread does a writer's own work."""
    return getattr(_thread, "is_writing", False)


def do_aloud(action: str, work: Callable[[], Result]) -> Result:
    """Do work in another thread; say after a second that it takes so long.

    So an interrupt of the caller is heard at once, and is not taken for one that a
    library below raises.

    Parameters
    ----------
    action : str
        What it does, to follow "to".
    """
    changed, began = threading.Condition(), time.monotonic()
    answers: list[Result | Exception] = []

    def answer() -> None:
        write_in_this_thread()
        try:
            answers.append(without_exits(work))
        except Exception as error:  # noqa: BLE001
            answers.append(error)
        with changed:
            changed.notify_all()

    def described() -> str:
        return f"to {action} takes {time.monotonic() - began:.0f} s"

    threading.Thread(target=answer, name="flwr-registry-apart", daemon=True).start()
    with changed:
        wait_aloud(changed, lambda: bool(answers), threading.TIMEOUT_MAX, described)
    found = answers.pop()
    if isinstance(found, Exception):
        raise found
    return found


def without_exits(work: Callable[[], Result]) -> Result:
    """Let a library below end neither this thread nor training."""
    try:
        return work()
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"a library raised {error!r}") from error


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
