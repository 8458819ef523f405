"""A file of a storage whose reads end in time."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, TypeVar

from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage.deadlines import SECONDS_PER_BYTE, Deadline, GivenUpError
from flwr_registry.storage.operation_threads import OperationThreads

__all__ = ["BoundedFile"]

Result = TypeVar("Result")
Refusal = Callable[[GivenUpError], StorageTimeoutError]

_PIECE_BYTES = 8 * 1024**2
_CLOSING_SECONDS = 1.0


class BoundedFile(io.BufferedIOBase):
    """A file that another one is read through.

    All its reads together may take `timeout_seconds` and one second more for each MiB
    that came. A read that is given up may still write into the buffer that it was
    given; nothing more is read then.

    Parameters
    ----------
    file : BinaryIO
        Buffered, at its begin.
    threads : OperationThreads
        Do its reads.
    timeout_seconds : float
        The time that a file has at its begin, and never more than that.
    refusal : callable
        Gives the error to raise when a read is given up.
    """

    def __init__(
        self,
        file: BinaryIO,
        threads: OperationThreads,
        timeout_seconds: float,
        refusal: Refusal,
    ) -> None:
        self._file = file
        self._threads = threads
        self._refusal = refusal
        self._timeout_seconds = timeout_seconds
        self._left_seconds = timeout_seconds
        self._position = 0
        self._is_stuck = False

    def __del__(self) -> None:
        """Leave the file to its own finalizer: to close it might take for ever."""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._position = self._bounded(partial(self._file.seek, offset, whence))
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, fewer only at the end; all that is left without one."""
        pieces: list[bytes] = []
        left = -1 if size is None else size
        while left:
            wanted = min(left, _PIECE_BYTES) if left > 0 else _PIECE_BYTES
            piece = self._bounded(partial(self._file.read, wanted))
            if not piece:
                break
            self._moved(len(piece))
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        """Read what comes at once, at most so many bytes."""
        return self.read(size if size >= 0 else _PIECE_BYTES)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, less of it only at the end."""
        room = memoryview(buffer).cast("B")
        if room.obj is None:
            # Nobody owns that memory: it may be gone when a late read would fill it.
            data = self.read(len(room))
            room[: len(data)] = data
            return len(data)
        filled = 0
        while filled < len(room):
            piece = room[filled : filled + _PIECE_BYTES]
            count = self._bounded(partial(_read_into, self._file, piece))
            if not count:
                break
            self._moved(count)
            filled += count
        return filled

    def readinto1(self, buffer: Any, /) -> int:
        """Fill a buffer."""
        return self.readinto(buffer)

    def close(self) -> None:
        """Close the file, unless a read of it never came back."""
        if self.closed:
            return
        super().close()
        if not self._is_stuck:
            deadline = Deadline(max(self._left_seconds, _CLOSING_SECONDS))
            # Nothing of a file that was read alone is lost with its end.
            with suppress(GivenUpError):
                self._threads.run(self._file.close, deadline)

    def _moved(self, count: int) -> None:
        self._position += count
        earned = self._left_seconds + count * SECONDS_PER_BYTE
        self._left_seconds = min(earned, self._timeout_seconds)

    def _bounded(self, work: Callable[[], Result]) -> Result:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        begin = time.monotonic()
        deadline = Deadline(self._left_seconds)
        if self._is_stuck or self._left_seconds <= 0:
            raise self._refusal(GivenUpError(self._timeout_seconds))
        try:
            return self._threads.run(work, deadline)
        except GivenUpError as given_up:
            self._is_stuck = True
            raise self._refusal(given_up) from None
        finally:
            self._left_seconds -= time.monotonic() - begin


def _read_into(file: BinaryIO, room: memoryview) -> int:
    into = getattr(file, "readinto", None)
    if into is not None:
        return int(into(room) or 0)
    data = file.read(len(room))
    room[: len(data)] = data
    return len(data)
