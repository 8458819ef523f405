"""Bodies of S3 requests that are views of a content, never copies of it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator

from flwr_registry.storage.storage_backend import Content

__all__ = ["Part", "parts_of"]

_WRITE_BYTES = 1024**2


class Part:
    """Some slices of a content, one after the other, as a body that can be sent again.

    botocore, which signs the body, takes it for a file; aiohttp, which sends it, for
    something to iterate over. Of a file it would read 64 KiB at a time, each in a
    thread.

    Parameters
    ----------
    slices : list of memoryview
        Not copied.
    """

    def __init__(self, slices: list[memoryview]) -> None:
        self._slices = slices
        self._size = sum(piece.nbytes for piece in slices)
        self._position = 0

    @property
    def size_bytes(self) -> int:
        """Length of all slices together."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, as in a file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def read(self, size: int = -1) -> bytes | memoryview:
        """Give what comes next; at most `size` bytes, fewer where a slice ends."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_WRITE_BYTES), b""))
        start = self._position
        for piece in self._slices:
            if start < piece.nbytes:
                taken = piece[start : start + size]
                self._position += taken.nbytes
                return taken
            start -= piece.nbytes
        return b""

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        """Give all of it from the first byte on."""
        for piece in self._slices:
            for start in range(0, piece.nbytes, _WRITE_BYTES):
                yield piece[start : start + _WRITE_BYTES]


def parts_of(content: Content, size: int) -> Iterator[Part]:
    """Cut a content into parts of `size` bytes, the last one shorter; one at least."""
    slices: list[memoryview] = []
    missing = size
    for piece in content:
        while piece.nbytes >= missing:
            yield Part([*slices, piece[:missing]])
            piece = piece[missing:]  # noqa: PLW2901
            slices, missing = [], size
        if piece.nbytes:
            slices.append(piece)
            missing -= piece.nbytes
    if slices or not content.size_bytes:
        yield Part(slices)
