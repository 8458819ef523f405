"""When a version that could not be loaded is tried again."""

from __future__ import annotations

import threading
import time

__all__ = ["Retries"]

_LONGEST_PAUSE_SECONDS = 300.0


class Retries:
    """Growing pauses between the attempts to load one version.

    A pause is no shorter than the attempt took, so that a version which never loads
    takes half of the time at most; another version is not held up by it.

    Parameters
    ----------
    shortest_seconds : float
        The first pause.
    """

    def __init__(self, shortest_seconds: float) -> None:
        self._shortest_seconds = shortest_seconds
        self._version_id: int | None = None
        self._pause_seconds = 0.0
        self._began = self._ends = time.monotonic()
        self._held_by: dict[int, threading.Thread] = {}

    def note_beginning(self, version_id: int) -> None:
        """Note that an attempt begins."""
        self._began = time.monotonic()
        if version_id != self._version_id:
            self._version_id, self._pause_seconds = version_id, 0.0

    def note_failure(
        self, version_id: int, *, held_by: threading.Thread | None = None
    ) -> None:
        """Note that an attempt failed.

        Parameters
        ----------
        held_by : Thread, optional
            Still hangs in the attempt. As long as it does, another would hang too.
        """
        now = time.monotonic()
        took_seconds = now - self._began
        pause = max(2 * self._pause_seconds, took_seconds, self._shortest_seconds)
        self._pause_seconds = min(pause, _LONGEST_PAUSE_SECONDS)
        self._version_id, self._ends = version_id, now + self._pause_seconds
        if held_by is not None:
            self._held_by[version_id] = held_by

    def forget(self) -> None:
        """Note that a version was loaded."""
        self._version_id = None

    def is_pausing(self, version_id: int) -> bool:
        """Whether this version failed a moment ago, and is not tried again yet."""
        thread = self._held_by.get(version_id)
        if thread is not None and thread.is_alive():
            return True
        return version_id == self._version_id and time.monotonic() < self._ends
