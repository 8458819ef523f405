"""A thread for a user's code, which the end of the process does not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any

__all__ = ["DaemonExecutor"]


class DaemonExecutor(Executor):
    """Runs one call after another in a daemon thread.

    The threads of a `ThreadPoolExecutor` are waited for when Python ends, however long
    their calls take.

    Parameters
    ----------
    name : str
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], partial[Any]] | None] = (
            SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._lock = threading.Lock()
        self._is_begun = False

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Run a call when those before it have ended."""
        with self._lock:
            if not self._is_begun:
                self._thread.start()
                self._is_begun = True
        future: Future[Any] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread when the calls that it was given have ended.

        Parameters
        ----------
        wait : bool
            Until then.
        cancel_futures : bool
            No call is taken back; what is cancelled is not begun.
        """
        self._calls.put(None)
        if wait and self._is_begun:
            self._thread.join()

    def _work(self) -> None:
        while (given := self._calls.get()) is not None:
            future, call = given
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001
                future.set_exception(error)
            else:
                future.set_result(result)
