"""Calls that are waited for only so long, whatever they call.

A driver, a disk or a name server may never answer, and nothing can end a thread from
outside. So the call runs in a thread of its own, and its caller stops waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["MOST_UNANSWERED", "BoundedCalls", "UnansweredCall"]

Result = TypeVar("Result")

MOST_UNANSWERED = 16
"""How many calls to one place may be left behind, still running."""

_IDLE_SECONDS = 10.0


class UnansweredCall(Exception):
    """A call that did not return within its time; it may still be running."""


class BoundedCalls:
    """Calls to one place, each waited for only so long.

    While `MOST_UNANSWERED` still run that nobody waits for, the next one is refused
    at once: a disk that is gone for hours must not collect threads.
    """

    def __init__(self) -> None:
        self._unanswered: set[_Call] = set()
        self._lock = threading.Lock()

    def run(
        self,
        work: Callable[[], Result],
        seconds: float,
        give_up: Callable[[], object],
        *,
        early: tuple[float, Callable[[], object]] | None = None,
    ) -> Result:
        """Return what `work` returns, or raise what it raises.

        Parameters
        ----------
        work : callable
            Runs in another thread, in the context variables of this one.
        seconds : float
            How long to wait for it.
        give_up : callable
            Called when it did not return by then, or the caller was interrupted; shall
            break off what it waits for, and must not wait itself.
        early : tuple of float and callable, optional
            Called after so many seconds, if it has not returned by then.

        Raises
        ------
        UnansweredCall
            When it did not return within its time, or too many earlier calls have not.
        """
        if len(self._unanswered) >= MOST_UNANSWERED:
            raise UnansweredCall(f"{MOST_UNANSWERED} calls are still unanswered")
        call = _Call(work, copy_context(), self._end)
        _begin(call)
        try:
            call.wait(seconds, early)
        finally:
            # An interrupt from the keyboard ends the waiting too.
            was_left = self._leave(call)
            if was_left:
                give_up()
        if was_left:
            raise UnansweredCall
        result: Result = call.outcome()
        return result

    def _leave(self, call: _Call) -> bool:
        """Stop waiting for a call, unless it has ended meanwhile."""
        with self._lock:
            if not call.is_finished:
                self._unanswered.add(call)
            return not call.is_finished

    def _end(self, call: _Call) -> None:
        with self._lock:
            call.is_finished = True
            self._unanswered.discard(call)


class _Call:
    def __init__(
        self, work: Callable[[], Any], context: Context, end: Callable[[_Call], None]
    ) -> None:
        self._work = work
        self._context = context
        self._end = end
        self._done: SimpleQueue[None] = SimpleQueue()
        self._result: Any = None
        self._error: BaseException | None = None
        self.is_finished = False

    def perform(self) -> None:
        """Do the work, in a thread that nobody needs to wait for."""
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        """Tell whoever waits; the thread is free for the next call."""
        self._end(self)
        self._done.put(None)

    def wait(
        self, seconds: float, early: tuple[float, Callable[[], object]] | None
    ) -> None:
        """Wait for the end of the work, but not for longer."""
        if early is not None and early[0] < seconds:
            if self._ended_within(early[0]):
                return
            early[1]()
            seconds -= early[0]
        self._ended_within(seconds)

    def outcome(self) -> Any:
        """Return or raise what the work did."""
        if self._error is None:
            return self._result
        try:
            raise self._error
        finally:
            # The traceback would hold this frame, and with it the error, for ever.
            self._error = None

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._done.get(timeout=seconds)
        except Empty:
            return False
        return True


class _Worker(threading.Thread):
    """A thread that serves one call after another; it ends when it is not needed."""

    def __init__(self) -> None:
        super().__init__(name="flwr-registry-call", daemon=True)
        self.calls: SimpleQueue[_Call] = SimpleQueue()

    def run(self) -> None:
        while (call := self._next()) is not None:
            call.perform()
            # Before its caller goes on, so that the next call finds it.
            _idle.append(self)
            call.finish()
            del call

    def _next(self) -> _Call | None:
        while True:
            try:
                return self.calls.get(timeout=_IDLE_SECONDS)
            except Empty:
                try:
                    _idle.remove(self)
                except ValueError:
                    # A caller has just taken it.
                    continue
                return None


_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    # Threads do not live on in the child of a fork.
    os.register_at_fork(after_in_child=_idle.clear)


def _begin(call: _Call) -> None:
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
        try:
            worker.start()
        except RuntimeError:
            # The interpreter is ending, or no thread is left: late is better than lost.
            call.perform()
            call.finish()
            return
    worker.calls.put(call)
