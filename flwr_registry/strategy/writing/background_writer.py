"""Work on storage and database beside training, in order."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from flwr_registry.errors import WriteTimeoutError
from flwr_registry.strategy.tolerance import LOGGER
from flwr_registry.strategy.waiting import (
    is_writing,
    wait_aloud,
    write_in_this_thread,
)

__all__ = ["Awaited", "BackgroundWriter", "Job"]

_IDLE_SECONDS = 30.0
_BRIEF_SECONDS = 1.0
_MARGIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work.

    Attributes
    ----------
    action : str
        What it does, to complete "could not".
    """

    action: str
    work: Callable[[], object]


class Awaited(IntEnum):
    """Who waits until all jobs are done."""

    BY_NOBODY = 0
    BY_ALL_ELSE = 1
    BY_NEXT_MODEL = 2


class BackgroundWriter:
    """Does jobs in a thread of its own, which ends when it has been idle for a while.

    What a job raises is kept, and raised by the next call of `submit` or `drain`; the
    jobs after it are done nevertheless, so that what they save is not lost. A job that
    does not end holds up those after it, but nobody waits for it longer than a while.

    Parameters
    ----------
    timeout_seconds : float
        How long anybody waits for a job.
    """

    def __init__(self, timeout_seconds: float) -> None:
        # The lock inside is reentrant: Flower's exit handlers wait for the writer in a
        # signal handler, whose thread may hold it.
        self._changed = threading.Condition()
        # What gives up at the deadline may need a moment to say so.
        self._patience_seconds = timeout_seconds + _MARGIN_SECONDS
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._process_id: int | None = None
        self._job: Job | None = None
        self._job_began = 0.0
        self._overdue: Job | None = None
        self._waiting: list[Awaited] = []
        self._error: BaseException | None = None

    @property
    def awaited(self) -> Awaited:
        """Who waits."""
        return max(self._waiting, default=Awaited.BY_NOBODY)

    @property
    def is_idle(self) -> bool:
        """Whether all jobs are done."""
        return not self._jobs and self._job is None

    @property
    def is_overdue(self) -> bool:
        """Whether it is in a job for which somebody has waited in vain."""
        return self._job is not None and self._overdue is self._job

    def submit(self, job: Job) -> None:
        """Take a job.

        Raises
        ------
        BaseException
            What a former job raised, once; then the job is not taken.
        """
        self._raise_error()
        self.put(job)

    def put(self, job: Job) -> None:
        """Take a job, whatever became of former ones."""
        with self._changed:
            self._jobs.append(job)
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def wait(
        self,
        awaited: Awaited = Awaited.BY_ALL_ELSE,
        *,
        at_most_seconds: float | None = None,
    ) -> float:
        """Wait until all jobs are done; work that is a writer's own does not.

        Parameters
        ----------
        at_most_seconds : float, optional
            How long; by default a little longer than an operation may take, and only
            for a moment where somebody has waited in vain for the same job.

        Returns
        -------
        float
            How many seconds that took.

        Raises
        ------
        WriteTimeoutError
            When the time is over.
        """
        if is_writing() or self._is_of_the_parent_process:
            return 0.0
        began = time.monotonic()
        with self._changed:
            self._waiting.append(awaited)
            self._changed.notify_all()
            try:
                limit = self._limit(at_most_seconds)
                is_done = wait_aloud(
                    self._changed, lambda: self.is_idle, limit, self._described
                )
            finally:
                self._waiting.remove(awaited)
            if not is_done:
                self._overdue = self._job
                raise WriteTimeoutError(
                    f"{self._described()}, and training waits no longer: raise "
                    "timeout_seconds if storage or database is only slow"
                )
        return time.monotonic() - began

    def drain(
        self,
        awaited: Awaited = Awaited.BY_ALL_ELSE,
        *,
        at_most_seconds: float | None = None,
    ) -> float:
        """Wait as `wait` does, and raise what a job raised, once."""
        try:
            return self.wait(awaited, at_most_seconds=at_most_seconds)
        finally:
            self._raise_error()

    def pause(self, seconds: float) -> None:
        """Let a job rest for a time; less when somebody begins to wait for it."""
        with self._changed:
            before = self.awaited
            self._changed.wait_for(lambda: self.awaited > before, seconds)

    @property
    def _is_of_the_parent_process(self) -> bool:
        """Whether this process is a fork: the thread that writes is not in it."""
        return self._process_id not in (None, os.getpid())

    def _limit(self, at_most_seconds: float | None) -> float:
        limit = self._patience_seconds
        if at_most_seconds is not None:
            limit = min(limit, at_most_seconds)
        return min(limit, _BRIEF_SECONDS) if self.is_overdue else limit

    def _described(self) -> str:
        job = self._job
        if job is None:
            return "the writer has not begun yet"
        return f"to {job.action} takes {time.monotonic() - self._job_began:.0f} s"

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _start(self) -> None:
        # A daemon, so that an abandoned run does not hold the process up: what is left
        # to do then is waited for at exit.
        self._thread = threading.Thread(
            target=self._work, name="flwr-registry-writer", daemon=True
        )
        self._process_id = os.getpid()
        atexit.register(self._wait_at_exit)
        self._thread.start()

    def _wait_at_exit(self) -> None:
        try:
            self.wait()
        except WriteTimeoutError as error:
            LOGGER.warning(
                "registry: the process ends before all is written: %s", str(error)
            )

    def _work(self) -> None:
        write_in_this_thread()
        while (job := self._next()) is not None:
            self._do(job)
            del job
            with self._changed:
                self._job = self._overdue = None
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            # A signal handler that submits within a submit may start a second thread;
            # then too one job is done at a time.
            self._changed.wait_for(
                lambda: self._jobs and self._job is None, _IDLE_SECONDS
            )
            if self._jobs and self._job is None:
                self._job, self._job_began = self._jobs.popleft(), time.monotonic()
                return self._job
            if threading.current_thread() is self._thread:
                atexit.unregister(self._wait_at_exit)
                self._thread = None
            return None

    def _do(self, job: Job) -> None:
        try:
            job.work()
        except BaseException as error:  # noqa: BLE001
            if self._error is None:
                self._error = error
            else:
                LOGGER.warning("registry: %s", str(error))
