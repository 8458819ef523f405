"""UBJSON as XGBoost writes it, read within the bytes that are there.

Whatever the grammar of XGBoost's own writer does not make is refused: another reader
could take it for something else (https://ubjson.org/type-reference).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from flwr_registry.weights.file_growth import most_bytes_of

__all__ = ["check_containers", "read_ubjson", "unique_keys"]

_DEEPEST = 64
_SHOWN = 40
# What a list or an object takes in memory, with room for its first values.
_CONTAINER_BYTES = 200
_NUMBERS = {
    marker: np.dtype(text)
    for marker, text in {
        b"i": "i1",
        b"U": "u1",
        b"I": ">i2",
        b"l": ">i4",
        b"L": ">i8",
        b"d": ">f4",
        b"D": ">f8",
    }.items()
}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}


def read_ubjson(data: memoryview) -> Any:
    """Return what the bytes hold; arrays of one type are numpy's.

    Raises
    ------
    ValueError
        When they are damaged, nested too deeply, or go on after their end.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.place != len(data):
        raise ValueError("there are bytes after its end")
    return value


def check_containers(count: int, file_bytes: int) -> None:
    """See that lists and objects are not out of proportion to the file they are in.

    Raises
    ------
    ValueError
        When they are: of three bytes each they take twenty times as much.
    """
    if count * _CONTAINER_BYTES > most_bytes_of(file_bytes):
        raise ValueError("its lists and objects take many times as much as its bytes")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; one that names a key twice is read in two ways.

    Raises
    ------
    ValueError
        Naming the key.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:_SHOWN]!r} is there twice")
    return found


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._num_containers = 0
        self.place = 0

    def value(self, depth: int) -> Any:
        """Read the value that begins here."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        marker = self._taken(1)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            dtype = _NUMBERS[marker]
            return np.frombuffer(self._taken(dtype.itemsize), dtype)[0].item()
        kinds: dict[bytes, Callable[[int], Any]] = {
            b"S": lambda _: self._text(),
            b"{": self._object,
            b"[": self._array,
        }
        if marker not in kinds:
            raise ValueError(f"byte {self.place - 1} begins no value")
        if marker != b"S":
            self._num_containers += 1
            check_containers(self._num_containers, len(self._data))
        return kinds[marker](depth + 1)

    def _object(self, depth: int) -> dict[str, Any]:
        pairs = []
        while not self._follows(b"}"):
            pairs.append((self._text(), self.value(depth)))
        return unique_keys(pairs)

    def _array(self, depth: int) -> Any:
        if self._follows(b"$"):
            dtype = _NUMBERS.get(self._taken(1))
            if dtype is None or not self._follows(b"#"):
                raise ValueError(f"the array at byte {self.place} is of no known type")
            return np.frombuffer(self._taken(self._length() * dtype.itemsize), dtype)
        if self._follows(b"#"):
            # Each takes a byte at least, so the count cannot outgrow the content.
            return [self.value(depth) for _ in range(self._length())]
        values = []
        while not self._follows(b"]"):
            values.append(self.value(depth))
        return values

    def _text(self) -> str:
        return self._taken(self._length()).decode()

    def _length(self) -> int:
        if not self._follows(b"L"):
            raise ValueError(f"at byte {self.place} a length is missing")
        length = int.from_bytes(self._taken(8), "big", signed=True)
        if length < 0:
            raise ValueError(f"a length before byte {self.place} is negative")
        return length

    def _follows(self, marker: bytes) -> bool:
        follows = self._data[self.place : self.place + 1] == marker
        self.place += follows
        return bool(follows)

    def _taken(self, count: int) -> bytes:
        if count > len(self._data) - self.place:
            raise ValueError("it ends too early")
        start, self.place = self.place, self.place + count
        return bytes(self._data[start : self.place])
