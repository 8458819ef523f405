"""Work on storage and database beside training, in order."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from flwr_registry.strategy.tolerance import LOGGER

__all__ = ["BackgroundWriter", "Job", "RoundWriter", "SyncWriter"]

Job = Callable[[], None]

_IDLE_SECONDS = 30.0


class RoundWriter(Protocol):
    """Does jobs one after another, in the order in which they are given."""

    def submit(self, job: Job) -> None:
        """Take a job; raise what a former one raised."""

    def wait(self) -> float:
        """Wait until all jobs are done; return the seconds that took."""

    def drain(self) -> float:
        """Wait, and raise what a job raised."""


class SyncWriter:
    """Does each job at once, in the thread that gives it."""

    def submit(self, job: Job) -> None:
        """Do a job; what it raises is raised here."""
        job()

    def wait(self) -> float:
        """Return: nothing is ever left to do."""
        return 0.0

    def drain(self) -> float:
        """Return: nothing is ever left to do."""
        return 0.0


class BackgroundWriter:
    """Does jobs in a thread of its own, which ends when it has been idle for a while.

    What a job raises is kept, and raised by the next call of `submit` or `drain`; the
    jobs after it are done nevertheless, so that what they save is not lost.
    """

    def __init__(self) -> None:
        # The lock inside is reentrant: Flower's exit handlers wait for the writer in a
        # signal handler, whose thread may hold it.
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._is_working = False
        self._error: BaseException | None = None

    def submit(self, job: Job) -> None:
        """Take a job.

        Raises
        ------
        BaseException
            What a former job raised, once; then the job is not taken.
        """
        self._raise_error()
        with self._changed:
            self._jobs.append(job)
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def wait(self) -> float:
        """Wait until all jobs are done; a job that waits for itself does not."""
        if threading.current_thread() is self._thread:
            return 0.0
        began = time.perf_counter()
        with self._changed:
            self._changed.wait_for(self._is_done)
        return time.perf_counter() - began

    def drain(self) -> float:
        """Wait until all jobs are done.

        Raises
        ------
        BaseException
            What one of them raised, once.
        """
        seconds = self.wait()
        self._raise_error()
        return seconds

    def _is_done(self) -> bool:
        return not self._jobs and not self._is_working

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
        atexit.register(self.wait)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)
            del job
            with self._changed:
                self._is_working = False
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs, _IDLE_SECONDS)
            if self._jobs:
                self._is_working = True
                return self._jobs.popleft()
            atexit.unregister(self.wait)
            self._thread = None
            return None

    def _do(self, job: Job) -> None:
        try:
            job()
        except BaseException as error:
            if self._error is None:
                self._error = error
            else:
                LOGGER.warning("registry: %s", error)
