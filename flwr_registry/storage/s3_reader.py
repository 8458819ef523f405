"""Reading an S3 object by ranges, ahead of its reader and past broken connections."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any, NamedTuple

import aiohttp
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage.deadlines import Deadline, GivenUpError, running_deadline
from flwr_registry.storage.s3_requests import S3Requests

__all__ = ["S3Reader"]

_FIRST_BYTES = 256 * 1024
_RANGE_BYTES = 8 * 1024**2
_RANGES_AHEAD = 4
_CHUNK_BYTES = 1024**2
# What ends a body early; a request that is not answered is tried again below.
_BROKEN = (OSError, aiohttp.ClientError, BotoCoreError)

Refusal = Callable[[GivenUpError], StorageTimeoutError]


class _Range(NamedTuple):
    begin: int
    end: int
    data: Future[memoryview]

    @property
    def size_bytes(self) -> int:
        return self.end - self.begin


class S3Reader(io.RawIOBase):
    """One object as a file that can seek.

    The first read somewhere fetches little more than it asks for, so that a single
    tensor costs its own bytes. Reads that go on from there are met by longer ranges,
    several of which are fetched ahead; in memory are only those.

    Parameters
    ----------
    requests : S3Requests
        Try again what is not answered.
    place : dict
        Bucket and key.
    refusal : callable
        Gives the error to raise when a read is given up.

    Raises
    ------
    FileNotFoundError
        When the object is not there.
    GivenUpError
        When it is not known in time whether it is.
    """

    def __init__(
        self,
        requests: S3Requests,
        place: dict[str, str],
        refusal: Refusal,
    ) -> None:
        self._ranges: deque[_Range] = deque()
        self._requests = requests
        # Not that of a later read, to which little time may be left.
        self._timeout_seconds = requests.timeout_seconds
        self._refusal = refusal
        head = requests.call("head_object", **place)
        self._size = int(head["ContentLength"])
        # Ranges of two objects are never put together, where the server honours it.
        self._place = {**place, "IfMatch": head["ETag"]}
        self._position = 0
        self._next_bytes = _FIRST_BYTES

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
        """Go to a place; nothing is fetched."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if start[whence] + offset < 0:
            raise ValueError("a file begins at 0")
        self._position = start[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read at most one buffer full; 0 at the end.

        Raises
        ------
        OSError
            When a range could not be read in several attempts.
        StorageTimeoutError
            When it was not read in time.
        """
        view = memoryview(buffer).cast("B")
        if not view or self._position >= self._size:
            return 0
        found = self._range_at(self._position, len(view))
        try:
            fetched = self._requests.wait(found.data, self._deadline(found.size_bytes))
        except GivenUpError as given_up:
            self._drop()
            raise self._refusal(given_up) from None
        except _BROKEN as error:
            self._drop()
            raise OSError(f"{type(error).__name__}: {error}") from error
        data = fetched[self._position - found.begin :][: len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Let go of what was fetched ahead."""
        self._drop()
        super().close()

    def _range_at(self, position: int, wanted: int) -> _Range:
        read_to = -1
        while self._ranges and self._ranges[0].end <= position:
            read_to = self._ranges.popleft().end
        if read_to == position:
            self._next_bytes = min(4 * self._next_bytes, _RANGE_BYTES)
            self._fetch_ahead(position)
        elif not self._ranges or position < self._ranges[0].begin:
            self._drop()
            self._next_bytes = min(max(wanted, _FIRST_BYTES), _RANGE_BYTES)
            self._fetch_from(position)
        return self._ranges[0]

    def _fetch_ahead(self, position: int) -> None:
        while len(self._ranges) < _RANGES_AHEAD:
            begin = self._ranges[-1].end if self._ranges else position
            if begin >= self._size:
                break
            self._fetch_from(begin)

    def _fetch_from(self, begin: int) -> None:
        end = min(begin + self._next_bytes, self._size)
        data = self._requests.submit(self._fetched(begin, end))
        self._ranges.append(_Range(begin, end, data))

    def _drop(self) -> None:
        while self._ranges:
            self._ranges.popleft().data.cancel()

    def _deadline(self, size_bytes: int = 0) -> Deadline:
        outer = running_deadline()
        return Deadline(self._timeout_seconds, size_bytes=size_bytes, outer=outer)

    async def _fetched(self, begin: int, end: int) -> memoryview:
        """Fetch a range; after a break only what is still missing."""
        # It is fetched ahead: the read that it is for has another deadline.
        deadline = Deadline(self._timeout_seconds, size_bytes=end - begin)
        view = memoryview(bytearray(end - begin))
        filled = 0
        for attempt in count(1):
            wanted = f"bytes={begin + filled}-{end - 1}"
            answer = await self._requests.answer(
                "get_object", deadline, **self._place, Range=wanted
            )
            try:
                async with asyncio.timeout(self._requests.attempt_seconds(deadline)):
                    while piece := await answer["Body"].read(_CHUNK_BYTES):
                        view[filled : filled + len(piece)] = piece
                        filled += len(piece)
                if filled == len(view):
                    break
                broken: Exception = OSError("it ended early")
            except TimeoutError as error:
                broken = error
            except _BROKEN as error:
                broken = OSError(f"bytes {begin} to {end} did not come: {error}")
            finally:
                answer["Body"].close()
            await self._requests.pause(attempt, deadline, broken)
        return view
