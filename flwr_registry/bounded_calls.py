"""Calls that are waited for only so long, whatever they call.

A driver, a disk or a name server may never answer, and nothing can end a thread from
outside. So the call runs in a thread of its own, and its caller stops waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar, cast

__all__ = ["MOST_UNANSWERED", "BoundedCalls", "UnansweredCall"]

Result = TypeVar("Result")

MOST_UNANSWERED = 8
"""How many calls to one place may be left behind, still running."""

_IDLE_SECONDS = 5.0


class UnansweredCall(Exception):
    """A call that did not return within its time; it may still be running."""


class BoundedCalls:
    """Calls to one place on daemon threads, each waited for only so long.

    The thread of a call that nobody waits for any more is left alone: it ends when the
    call does, and keeps no process alive. While `MOST_UNANSWERED` are left so, the next
    call is refused at once: a disk that is gone for hours must not collect threads.

    Parameters
    ----------
    name : str
        Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reset()

    def run(
        self,
        work: Callable[[], Result],
        waits: Iterable[float],
        give_up: Callable[[], object],
        *,
        drop: Callable[[Result], object] | None = None,
    ) -> Result:
        """Return what `work` returns, or raise what it raises.

        Parameters
        ----------
        work : callable
            Runs in another thread, in the context variables of this one.
        waits : iterable of float
            Seconds to wait for it, one piece after another.
        give_up : callable
            Called when nobody waits any more, because the time is over or the caller
            was interrupted. May break off what the call waits for; must not wait.
        drop : callable, optional
            Given a result that comes later than that.

        Raises
        ------
        UnansweredCall
            When it did not return within its time, or too many earlier calls have not.
        """
        if os.getpid() != self._process:
            # A fork has none of the threads.
            self._reset()
        if self._unanswered >= MOST_UNANSWERED:
            raise UnansweredCall(f"{MOST_UNANSWERED} calls are still unanswered")
        call = _Call(work, drop)
        self._begin(call)
        try:
            call.wait(waits)
        finally:
            was_left = self._leave(call)
            if was_left:
                give_up()
        if was_left:
            raise UnansweredCall
        return call.outcome()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Call[Any]]] = []
        self._unanswered = 0

    def _begin(self, call: _Call[Any]) -> None:
        with self._lock:
            # The one that worked last: libraries keep connections for each thread.
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            thread = threading.Thread(
                target=self._serve, args=(inbox,), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # The interpreter ends, or no thread is left: late is better than lost.
                call.perform()
                call.finish()
                return
        inbox.put(call)

    def _leave(self, call: _Call[Any]) -> bool:
        """Stop waiting for a call, unless it has ended meanwhile."""
        with self._lock:
            call.is_left = not call.is_finished
            self._unanswered += call.is_left
            return call.is_left

    def _serve(self, inbox: SimpleQueue[_Call[Any]]) -> None:
        while (call := self._next(inbox)) is not None:
            call.perform()
            with self._lock:
                call.is_finished = True
                self._unanswered -= call.is_left
                # Before its caller goes on, so that the next call finds the thread.
                self._idle.append(inbox)
            call.finish()
            del call

    def _next(self, inbox: SimpleQueue[_Call[Any]]) -> _Call[Any] | None:
        try:
            return inbox.get(timeout=_IDLE_SECONDS)
        except Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    return None
            return inbox.get()


class _Call(Generic[Result]):
    def __init__(
        self, work: Callable[[], Result], drop: Callable[[Result], object] | None
    ) -> None:
        self.is_finished = self.is_left = False
        self._work = work
        self._drop = drop
        self._context = copy_context()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._result: Result | None = None
        self._error: BaseException | None = None

    def perform(self) -> None:
        """Do the work, in a thread that nobody needs to wait for."""
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001
            self._error = error

    def finish(self) -> None:
        """Tell whoever waits; a result for which nobody does is dropped."""
        self.is_finished = True
        if self.is_left and self._error is None and self._drop is not None:
            threading.Thread(
                target=self._drop, args=(self._result,), daemon=True
            ).start()
        self._done.put(None)

    def wait(self, waits: Iterable[float]) -> None:
        """Wait for the end of the work, but not for longer."""
        for seconds in waits:
            try:
                self._done.get(timeout=seconds)
            except Empty:
                continue
            return

    def outcome(self) -> Result:
        """Return or raise what the work did."""
        error, self._error = self._error, None
        if error is None:
            return cast(Result, self._result)
        try:
            raise error
        finally:
            # Its traceback holds this frame, which must not hold it in turn.
            error = None
