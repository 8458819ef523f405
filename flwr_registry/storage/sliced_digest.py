"""SHA-256 beside reading or writing, so that the two take as long as the slower one."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

__all__ = ["SlicedDigest"]

_FEW_BYTES = 256 * 1024
_MAX_PENDING = 2


class SlicedDigest:
    """The digest of slices that are given one after another.

    Long slices are hashed on a thread of its own, which leaves the interpreter to
    others meanwhile; few of them wait at any time. Used as a context, it ends the
    thread.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> SlicedDigest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def update(self, piece: memoryview | bytes) -> None:
        """Add a slice, whose bytes must stay as they are until `drain`."""
        if len(piece) < _FEW_BYTES and self._thread is None:
            self._digest.update(piece)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "flwr-registry-sha256")
        while len(self._pending) >= _MAX_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(self._digest.update, piece))

    def drain(self) -> None:
        """Wait until no slice is held any more."""
        while self._pending:
            self._pending.popleft().result()

    def hexdigest(self) -> str:
        """Return the digest of all slices so far."""
        self.drain()
        return self._digest.hexdigest()
