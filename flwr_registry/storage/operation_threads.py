"""Threads for operations that may never end, and an end for those who wait for them."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from flwr_registry.storage.deadlines import Deadline, GivenUpError, under

__all__ = ["OperationThreads"]

Result = TypeVar("Result")

_MAX_STUCK = 8
_IDLE_SECONDS = 5.0
# Who keeps to the deadline by itself ends cleaner than who is given up.
_GRACE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 3600.0


class _Job(Generic[Result]):
    """Work for a thread, and where its outcome is waited for."""

    def __init__(
        self,
        work: Callable[[], Result],
        deadline: Deadline,
        drop: Callable[[Result], None] | None,
    ) -> None:
        self.deadline = deadline
        self.drop = drop
        self.settled = threading.Lock()
        self.settled.acquire()
        self.is_done = self.is_given_up = False
        self._work = work
        self._result: Result | None = None
        self._failure: BaseException | None = None
        # What a library finds in its context is what it would find without us.
        self._context = contextvars.copy_context()

    def do(self) -> None:
        try:
            self._result = self._context.run(self._bounded)
        except BaseException as error:
            self._failure = error

    def _bounded(self) -> Result:
        with under(self.deadline):
            return self._work()

    def take(self) -> Result:
        """Return the result or raise the failure; no frame may keep a failure alive."""
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                failure = None
        return cast(Result, self._result)

    def drop_late(self) -> None:
        """Let go of an outcome for which nobody waits."""
        if self._failure is None and self.drop is not None:
            drop = cast(Callable[[Any], None], self.drop)
            threading.Thread(target=drop, args=(self._result,), daemon=True).start()
        self._failure = None


class OperationThreads:
    """Run operations on daemon threads, each until its deadline.

    The thread of an operation that is given up is left alone: it ends when the
    operation does, keeps no process alive, and later operations get another one. While
    eight are stuck, nothing more is begun. Threads without work end after seconds.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[_Job[Any]]] = []
        self._stuck = 0

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
        if os.getpid() != self._process:  # a fork has none of the threads
            self._reset()
        if self._stuck >= _MAX_STUCK:
            raise GivenUpError(deadline.total_seconds)
        job = _Job(work, deadline, drop)
        self._start(job)
        try:
            self._wait(job)
        except BaseException:
            self._give_up(job)
            raise
        return job.take()

    def _wait(self, job: _Job[Any]) -> None:
        while True:
            left = job.deadline.remaining_seconds + _GRACE_SECONDS
            if job.settled.acquire(timeout=min(left, _LONGEST_WAIT_SECONDS)):
                return
            # The operation may have been given more time meanwhile.
            if not job.deadline.remaining_seconds:
                if self._give_up(job):
                    raise GivenUpError(job.deadline.total_seconds)
                return

    def _give_up(self, job: _Job[Any]) -> bool:
        """Wait no longer; false when the outcome is there already."""
        with self._lock:
            if job.is_done:
                return False
            self._stuck += not job.is_given_up
            job.is_given_up = True
        job.deadline.give_up()
        return True

    def _start(self, job: _Job[Any]) -> None:
        with self._lock:
            # The one that worked last: libraries keep connections for each thread.
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(
                target=self._serve,
                args=(inbox,),
                name="flwr-registry-storage",
                daemon=True,
            ).start()
        inbox.put(job)

    def _serve(self, inbox: queue.SimpleQueue[_Job[Any]]) -> None:
        while (job := self._next(inbox)) is not None:
            job.do()
            with self._lock:
                job.is_done = True
                self._stuck -= job.is_given_up
                self._idle.append(inbox)
            if job.is_given_up:
                job.drop_late()
            job.settled.release()
            del job

    def _next(self, inbox: queue.SimpleQueue[_Job[Any]]) -> _Job[Any] | None:
        try:
            return inbox.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    return None
            return inbox.get()
