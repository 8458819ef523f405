"""What is done before a process ends by SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakMethod

from flwr_registry.strategy.tolerance import LOGGER

__all__ = ["TERMINATION", "Termination"]

Work = Callable[[], None]


class Termination:
    """A handler of SIGTERM that is there as long as somebody has work for it.

    The handler that was there before is called after it, or the process ends by the
    signal, as it would have. Where SIGTERM is ignored, belongs to Flower, whose own
    handler does the same work, or to another thread than the main one, nothing is done.
    """

    def __init__(self) -> None:
        self._works: list[WeakMethod[Work]] = []
        self._handler: _Handler | None = None
        self._is_at_work = False

    def add(self, work: Work) -> None:
        """Do work, a method, on SIGTERM; whose object it is may be collected."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._is_known(work):
            return
        self._works.append(WeakMethod(work, self._forget))
        found = signal.getsignal(signal.SIGTERM)
        if found is self._handler or not _may_be_replaced(found):
            return
        # A new one each time: a former one may still be called by the one found.
        self._retire()
        self._handler = _Handler(self._do_all, found)
        signal.signal(signal.SIGTERM, self._handler)

    def remove(self, work: Work) -> None:
        """Do it no longer; without any work the former handler is there again."""
        self._works = [each for each in self._works if each() not in (None, work)]
        self._leave_if_idle()

    def _is_known(self, work: Work) -> bool:
        return any(each() == work for each in self._works)

    def _forget(self, reference: WeakMethod[Work]) -> None:
        # Compared by identity: those whose objects are gone are all alike.
        self._works = [each for each in self._works if each is not reference]
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and not self._works:
            self._retire()

    def _retire(self) -> None:
        handler = self._handler
        self._handler = None
        if handler is None:
            return
        # Where another handler calls it, it stays and only passes signals on.
        handler.is_retired = True
        found: object = signal.getsignal(signal.SIGTERM)
        if found is handler:
            signal.signal(signal.SIGTERM, handler.before)

    def _do_all(self) -> None:
        if self._is_at_work:
            return
        self._is_at_work = True
        try:
            self._do_each()
        finally:
            self._is_at_work = False

    def _do_each(self) -> None:
        for each in tuple(self._works):
            work = each()
            if work is None:
                continue
            try:
                work()
            except Exception as error:  # noqa: BLE001
                LOGGER.warning(
                    "registry: could not save the run on SIGTERM: %s", str(error)
                )


class _Handler:
    """Does work, then what would have been done without it.

    Parameters
    ----------
    before : callable or signal.Handlers
        The handler that was there before.

    Attributes
    ----------
    is_retired : bool
        It does no work any more.
    """

    def __init__(self, work: Work, before: Any) -> None:
        self.before = before
        self.is_retired = False
        self._work = work
        self._process_id = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        # A child of this process has the handler, but neither the threads nor the task.
        if os.getpid() == self._process_id and not self.is_retired:
            self._work()
        if callable(self.before):
            self.before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


TERMINATION = Termination()
"""The one of this process."""


def _may_be_replaced(handler: Any) -> bool:
    """Tell whether a handler can be called by another, and wants to be."""
    if handler is None or handler is signal.SIG_IGN:
        return False
    return not str(getattr(handler, "__module__", "")).startswith("flwr.supercore.exit")
