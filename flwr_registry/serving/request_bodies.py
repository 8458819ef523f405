"""Reading a request's body, of a bounded size and of a kind that is understood."""

from __future__ import annotations

from fastapi import HTTPException, Request

__all__ = ["body_of", "json_length_of", "require_content_type"]

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


async def body_of(request: Request, max_bytes: int) -> bytes:
    """Read a body.

    Raises
    ------
    HTTPException
        413 as soon as it is longer than `max_bytes`.
    """
    too_long = HTTPException(413, f"a request has at most {max_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit():
        raise HTTPException(400, "Content-Length is no number")
    if int(announced[:20]) > max_bytes:
        raise too_long
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise too_long
    return bytes(body)


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
