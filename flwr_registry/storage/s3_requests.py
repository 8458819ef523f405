"""Requests to S3 that end in time, and are sent again where that may help."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar

import aiohttp
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as NotConnectedError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from flwr_registry.storage.deadlines import (
    TIMEOUT_SECONDS,
    Deadline,
    GivenUpError,
    checked_timeout,
    running_deadline,
)
from flwr_registry.storage.s3_parts import Part

__all__ = ["S3Requests"]

Answer = TypeVar("Answer")

_PAUSE_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 3600.0
_PASSING_STATUSES = {408, 429, 500, 502, 503, 504}
_PASSING_CODES = {
    "BandwidthLimitExceeded",
    "IncompleteBody",
    "InternalError",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "TooManyRequestsException",
    "XAmzContentSHA256Mismatch",
}
_BROKEN = (
    ConnectionError,
    TimeoutError,
    aiohttp.ClientError,
    HTTPClientError,
    NotConnectedError,
    ResponseParserError,
)


class S3Requests:
    """Send requests through a file system's client, from any thread.

    The client itself tries nothing again: it would draw its pauses from python's global
    generator, from which a training may draw too.

    Parameters
    ----------
    file_system : s3fs.S3FileSystem
        Tries each request once.
    attempts : int
        How often a request is sent, at most.
    timeout_seconds : float, optional
        How long an operation may take, see `S3StorageBackend`.
    """

    def __init__(
        self, file_system: Any, attempts: int, timeout_seconds: float | None
    ) -> None:
        self._fs = file_system
        self._timeout_seconds = timeout_seconds and checked_timeout(timeout_seconds)
        self._random = random.Random()  # noqa: S311
        self._connecting: asyncio.Task[Any] | None = None
        self.attempts = attempts

    @property
    def timeout_seconds(self) -> float:
        """How long an operation may take that moves nothing."""
        running = running_deadline()
        if self._timeout_seconds is not None:
            return self._timeout_seconds
        return TIMEOUT_SECONDS if running is None else running.timeout_seconds

    def deadline(self, size_bytes: int = 0) -> Deadline:
        """Return the deadline of an operation that begins now."""
        outer = running_deadline()
        return Deadline(self.timeout_seconds, size_bytes=size_bytes, outer=outer)

    def call(
        self, method: str, deadline: Deadline | None = None, /, **arguments: Any
    ) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises
        ------
        GivenUpError, OSError, botocore.exceptions.BotoCoreError
            As `answer` does.
        """
        deadline = deadline or self.deadline()
        return self.wait(self.begin(method, deadline, **arguments), deadline)

    def begin(
        self, method: str, deadline: Deadline, /, **arguments: Any
    ) -> Future[dict[str, Any]]:
        """Send a request, which stalls no longer than a small operation would."""
        size = getattr(arguments.get("Body"), "size_bytes", 0)
        own = Deadline(self.timeout_seconds, size_bytes=size, outer=deadline)
        return self.submit(self.answer(method, own, **arguments))

    def submit(self, work: Any) -> Future[Any]:
        """Begin a coroutine in the client's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._fs.loop)

    def wait(self, future: Future[Answer], deadline: Deadline) -> Answer:
        """Wait for what was begun; what is not waited for any more is cancelled.

        Raises
        ------
        GivenUpError
            When the time is over.
        """
        try:
            while True:
                left = min(deadline.remaining_seconds, _LONGEST_WAIT_SECONDS)
                try:
                    return future.result(left)
                except TimeoutError:
                    if future.done():
                        raise
                    if not deadline.remaining_seconds:
                        raise GivenUpError(deadline.total_seconds) from None
        finally:
            future.cancel()

    async def answer(
        self, method: str, deadline: Deadline, /, **arguments: Any
    ) -> dict[str, Any]:
        """Send a request, again if that may help.

        Raises
        ------
        GivenUpError
            When the time is over.
        OSError, botocore.exceptions.BotoCoreError
            What the last attempt failed with.
        """
        for attempt in count(1):
            try:
                async with asyncio.timeout(deadline.remaining_seconds):
                    await self._connected()
                async with asyncio.timeout(self.attempt_seconds(deadline)):
                    return await self._sent(method, arguments)
            except Exception as error:
                if not _may_pass(error):
                    raise
                await self.pause(attempt, deadline, error)
        raise AssertionError

    def attempt_seconds(self, deadline: Deadline) -> float:
        """How long an attempt may take: one that stalls leaves time for another."""
        share = deadline.total_seconds / min(self.attempts, 2)
        return min(share, deadline.remaining_seconds)

    async def pause(self, attempt: int, deadline: Deadline, error: Exception) -> None:
        """Wait before the next attempt; raise where there is none.

        Of a random length: what broke together would come together.
        """
        seconds = self._random.uniform(0, _PAUSE_SECONDS * 2**attempt)
        if attempt < self.attempts and seconds < deadline.remaining_seconds:
            await asyncio.sleep(seconds)
        elif isinstance(error, TimeoutError):
            raise GivenUpError(deadline.total_seconds) from error
        else:
            raise error

    async def _connected(self) -> None:
        """Make the client, once for all: it takes longer than a request may."""
        if self._connecting is None or _has_failed(self._connecting):
            self._connecting = asyncio.ensure_future(self._fs.set_session())
        await asyncio.shield(self._connecting)

    async def _sent(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        body = arguments.get("Body")
        if isinstance(body, Part):
            body.seek(0)
        answer: dict[str, Any] = await self._fs._call_s3(method, **arguments)
        return answer


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed a moment later."""
    refusal = error if isinstance(error, ClientError) else error.__cause__
    if not isinstance(refusal, ClientError):
        return isinstance(error, _BROKEN)
    status = refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(refusal.response.get("Error", {}).get("Code", ""))
    return status in _PASSING_STATUSES or code in _PASSING_CODES or "Throttl" in code
