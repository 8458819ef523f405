"""Reading a request's body, of a bounded size and of a kind that is understood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request

from flwr_registry.serving.server_options import ServerOptions

__all__ = ["OpenBodies", "json_length_of", "require_content_type"]

_KINDS = ("application/json", "application/octet-stream")


async def require_content_type(request: Request) -> None:
    """Refuse what a foreign web page may send without being asked for its origin.

    Raises
    ------
    HTTPException
        415 for anything but JSON and raw tensors, or for compressed bodies.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Triton's client names no kind; a browser that names none names the origin.
    is_unnamed = not kind and "origin" not in request.headers
    if kind not in _KINDS and not is_unnamed:
        raise HTTPException(415, f"send {' or '.join(_KINDS)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body uncompressed")


class OpenBodies:
    """The bodies of all requests that are not answered yet, bounded in sum.

    Parameters
    ----------
    options : ServerOptions
        With the limits.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._max_bytes = options.max_body_bytes
        self._max_open_bytes = options.max_open_body_bytes
        self._transfer_seconds = options.transfer_seconds
        self._open_bytes = 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, which is open within the block.

        Raises
        ------
        HTTPException
            413 as soon as it is too long, 408 when it takes too long, 503 when too many
            bytes are open already.
        """
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._transfer_seconds):
                    await self._read(request, body)
            except TimeoutError as error:
                text = f"a body takes at most {self._transfer_seconds:g} s to arrive"
                # What else comes is no request.
                raise HTTPException(408, text, {"Connection": "close"}) from error
            yield bytes(body)
        finally:
            self._open_bytes -= len(body)

    async def _read(self, request: Request, body: bytearray) -> None:
        too_long = HTTPException(413, f"a request has at most {self._max_bytes} bytes")
        announced = request.headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit():
            raise HTTPException(400, "Content-Length is no number")
        if int(announced[:20]) > self._max_bytes:
            raise too_long
        async for piece in request.stream():
            if len(body) + len(piece) > self._max_bytes:
                raise too_long
            if self._open_bytes + len(piece) > self._max_open_bytes:
                raise HTTPException(
                    503, "too many requests are open: come again", {"Retry-After": "1"}
                )
            body += piece
            self._open_bytes += len(piece)


def json_length_of(request: Request, header: str) -> int | None:
    """Return how many bytes of a body are JSON, None when all are.

    Raises
    ------
    HTTPException
        400 when the header is no number.
    """
    text = request.headers.get(header)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise HTTPException(400, f"{header} is no number")
    return int(text)
