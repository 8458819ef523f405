"""Connections that cannot be held for ever: bounds on their number, time and bytes.

uvicorn bounds how long a connection may be silent between two requests. What it does
not bound is here: how many are open, how long the parts of a request and an answer may
be under way, how long a head is, and how much of all answers waits to be taken.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flwr_registry.serving.server_options import ServerOptions

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HttpProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HttpProtocol

__all__ = ["BoundedConnection", "OpenConnections", "free_descriptors"]

_MAX_HEAD_BYTES = 64 * 1024
# Chunks of a few bytes each, with what announces them.
_MAX_ENCODED_RATIO = 8
# The application answers 408 itself when a body is late; this is for when it does not.
_GRACE_SECONDS = 1.0


class _Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    """The first byte of a request."""
    HEAD = auto()
    """The rest of its head."""
    BODY = auto()
    """The rest of its body."""
    WORK = auto()
    """The answer, which is the server's to give."""


class OpenConnections:
    """The connections of one server, and those that wait for their client.

    When there are too many, the one that has waited longest makes room, so that silent
    connections lock nobody out; when all are at work, the newcomer is sent away. When
    clients leave too many bytes of answers untaken, the answer that has lain longest is
    dropped.

    Parameters
    ----------
    options : ServerOptions
        With the limits.
    max_connections : int
        How many may be open.
    """

    def __init__(self, options: ServerOptions, max_connections: int) -> None:
        self.idle_seconds = options.idle_seconds
        self.transfer_seconds = options.transfer_seconds
        self.max_body_bytes = _MAX_ENCODED_RATIO * options.max_body_bytes
        self._max_connections = max_connections
        self._open: set[BoundedConnection] = set()
        # In the order in which they began to wait.
        self._waiting: dict[BoundedConnection, None] = {}
        self._max_untaken_bytes = options.max_open_body_bytes
        # In the order in which their answers were given.
        self._untaken: dict[BoundedConnection, None] = {}

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]:
        """What uvicorn makes a connection with."""
        return partial(BoundedConnection, bounds=self)

    def admit(self, connection: BoundedConnection) -> None:
        """Take a new connection, which waits for its client."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) > self._max_connections:
            longest = next(iter(self._waiting))
            longest.give_way(is_new=longest is connection)

    def note(self, connection: BoundedConnection, waits: bool) -> None:
        """Note whether the next step is the client's."""
        if not waits:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection)

    def forget_untaken(self, connection: BoundedConnection) -> None:
        """Count an answer no longer: nothing of it lies here."""
        self._untaken.pop(connection, None)

    def note_untaken(self, connection: BoundedConnection) -> None:
        """Note that an answer lies here; drop others when that is too much in sum."""
        self._untaken.setdefault(connection)
        sizes = {each: each.untaken_bytes for each in self._untaken}
        self._untaken = {each: None for each, size in sizes.items() if size}
        excess = sum(sizes.values()) - self._max_untaken_bytes
        for each in self._untaken:
            if excess <= 0 or each is connection:
                break
            excess -= sizes[each]
            each.transport.abort()

    def forget(self, connection: BoundedConnection) -> None:
        """Count a connection no longer: it is closed, or about to be."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class BoundedConnection(HttpProtocol):
    """One connection: uvicorn's, and ended when its client keeps it waiting.

    Parameters
    ----------
    bounds : OpenConnections
        The limits, and the other connections.
    """

    def __init__(self, *arguments: Any, bounds: OpenConnections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._received_bytes = 0
        self._is_silent = True

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Wait for a first request."""
        super().connection_made(transport)
        self._end_within(self._bounds.idle_seconds)
        self._bounds.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_within(None)
        self._bounds.forget(self)
        self._bounds.forget_untaken(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; its time counts from the first of them on."""
        # An answer that is not taken keeps its deadline, whatever is asked next.
        is_bound = self._deadline is not None and self.untaken_bytes > 0
        if self._phase is _Phase.IDLE and not is_bound:
            self._end_within(self._bounds.transfer_seconds)
        self._is_silent = False
        self._received_bytes += len(data)
        before = self.cycle, self._phase
        super().data_received(data)
        if self.transport.is_closing():
            return
        if (self.cycle, self._phase) != before:
            self._received_bytes = 0
            is_whole = self._phase is _Phase.WORK
            seconds = self._bounds.transfer_seconds + _GRACE_SECONDS
            if not is_bound:
                self._end_within(None if is_whole else seconds)
        self._bounds.note(self, self._phase is not _Phase.WORK)
        self._refuse_excess()

    def on_response_complete(self) -> None:
        """Wait until the answer is taken, and for the next request."""
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before:
            self._received_bytes = 0
        is_taken = not self.untaken_bytes
        if self._phase is _Phase.IDLE and is_taken:
            self._end_within(self._bounds.idle_seconds)
        elif self._deadline is None and not (self._phase is _Phase.WORK and is_taken):
            self._end_within(self._bounds.transfer_seconds)
        if not is_taken:
            self._bounds.note_untaken(self)
        self._bounds.note(self, self._phase is not _Phase.WORK)

    def give_way(self, is_new: bool) -> None:
        """Make room for another connection, or find none."""
        # The first request of a new one is on its way.
        self._is_silent = self._is_silent and not is_new
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open")

    @property
    def untaken_bytes(self) -> int:
        """How much of its answers its client has not taken."""
        return self.transport.get_write_buffer_size()

    @property
    def _phase(self) -> _Phase:
        cycle = self.cycle
        if cycle is not None and cycle.more_body:
            return _Phase.BODY
        if cycle is not None and not cycle.response_complete:
            return _Phase.WORK
        return _Phase.HEAD if self._received_bytes else _Phase.IDLE

    def _refuse_excess(self) -> None:
        is_body = self._phase is _Phase.BODY
        limit = self._bounds.max_body_bytes if is_body else _MAX_HEAD_BYTES
        if self._received_bytes <= limit:
            return
        if is_body:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
        else:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head of a request has at most {_MAX_HEAD_BYTES} bytes",
            )

    def _end_within(self, seconds: float | None) -> None:
        """Set the time that is left for what the client has to do; None for no end."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or self.untaken_bytes:
            # Closing waits for a client that does not read.
            self.transport.abort()
        elif self._phase is not _Phase.WORK:
            text = (
                f"a request takes at most {self._bounds.transfer_seconds:g} s to arrive"
            )
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, text)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Close the connection, and say why if a request is under way."""
        is_answered = self.cycle is not None and self.cycle.response_started
        if self._phase is _Phase.HEAD or not (is_answered or self._is_silent):
            self.transport.write(_answer(status, text))
        self._bounds.forget(self)
        self._end_within(_GRACE_SECONDS)
        self.transport.close()


def free_descriptors() -> int | None:
    """Return how many files and sockets this process may still open, if that is known.

    Returns
    -------
    int or None
        None where the system has no such limit.
    """
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return None
        return max(0, soft - len(os.listdir("/dev/fd")))  # noqa: PTH208
    except (ImportError, OSError):
        return None


def _answer(status: HTTPStatus, text: str) -> bytes:
    content = json.dumps({"error": text}).encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(["Retry-After: 1"] if status is HTTPStatus.SERVICE_UNAVAILABLE else []),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
