"""A thread that takes turns, and is replaced when it ends or hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flwr_registry.shown_text import OneLineLogger

__all__ = ["WatchedThread"]

_LOGGER = OneLineLogger("flwr_registry")
_LONGEST_LOOK_SECONDS = 1.0

OnLoss = Callable[[str, threading.Thread], None]


class WatchedThread:
    """Takes turns in a thread of its own, and begins another when that is lost.

    A thread cannot be ended from outside: one that hangs is left alone, and what it
    still does has no effect, see `own_turn`.

    Parameters
    ----------
    turn : callable
        Is called again and again.
    name : str
        What the thread does, for messages.
    pause_seconds : float
        Between two turns.
    stall_seconds : float
        A turn that shows no sign of life for so long hangs.
    on_loss : callable
        Is told why a thread was lost, and which, before the next one begins.
    """

    def __init__(
        self,
        turn: Callable[[], None],
        *,
        name: str,
        pause_seconds: float,
        stall_seconds: float,
        on_loss: OnLoss,
    ) -> None:
        self._turn = turn
        self._name = name
        self._pause_seconds = pause_seconds
        self._stall_seconds = stall_seconds
        self._on_loss = on_loss
        self._ended = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._lost: set[threading.Thread] = set()
        self._busy_since: float | None = None
        self._cause = ""
        self._watcher = threading.Thread(
            target=self._watch, name=f"{name}-watcher", daemon=True
        )

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._ended.is_set()

    @property
    def trouble(self) -> str:
        """Why no turn is taken at the moment; empty while all is well."""
        thread, busy_since = self._thread, self._busy_since
        if thread is None or self.is_ending:
            return ""
        if not thread.is_alive():
            return f"ended: {self._cause or 'its thread died'}"
        if busy_since is not None:
            seconds = time.monotonic() - busy_since
            if seconds > self._stall_seconds:
                return f"hangs: no sign of life for {seconds:.0f} seconds"
        return ""

    def start(self) -> None:
        """Begin."""
        self._begin()
        self._watcher.start()

    def stop(self, timeout_seconds: float) -> None:
        """End; returns when the turn under way has ended, or hangs for so long."""
        self._ended.set()
        for each in (self._watcher, self._thread):
            if each is not None and each.is_alive():
                each.join(timeout_seconds)

    def show_life(self) -> None:
        """Say, within a turn that takes long, that it goes on."""
        if threading.current_thread() is self._thread:
            self._busy_since = time.monotonic()

    @contextmanager
    def own_turn(self) -> Iterator[bool]:
        """Hold off replacement; false in a thread that was replaced already."""
        with self._lock:
            yield threading.current_thread() not in self._lost

    def _begin(self) -> None:
        self._busy_since = None
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            while not self._ended.wait(self._pause_seconds) and self._is_own():
                self.show_life()
                self._turn()
                if self._is_own():
                    self._busy_since = None
        except BaseException as error:
            # A thread that SystemExit ends says nothing of itself.
            _LOGGER.exception("registry: the thread %s ended", self._name)
            if self._is_own():
                self._cause = f"{type(error).__name__}({error})"

    def _is_own(self) -> bool:
        return threading.current_thread() is self._thread

    def _watch(self) -> None:
        seconds = min(_LONGEST_LOOK_SECONDS, self._stall_seconds / 4)
        while not self._ended.wait(seconds):
            trouble = self.trouble
            if trouble:
                try:
                    self._replace(trouble)
                except Exception:
                    # There may be no room for a thread; there may be, the next time.
                    _LOGGER.exception("registry: %s cannot begin anew", self._name)

    def _replace(self, trouble: str) -> None:
        with self._lock:
            lost = self._thread
            if lost is None or not self.trouble:
                return
            self._lost = {each for each in self._lost if each.is_alive()} | {lost}
            self._on_loss(trouble, lost)
            self._cause = ""
            self._begin()
        _LOGGER.error("registry: %s %s; it begins anew", self._name, trouble)
