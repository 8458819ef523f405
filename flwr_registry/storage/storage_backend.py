"""The seam to the bytes, and what every storage promises."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from flwr_registry.errors import InvalidNameError
from flwr_registry.records import StoredObject

__all__ = [
    "DIGEST",
    "BytesContent",
    "ConditionalStorage",
    "Content",
    "StorageBackend",
    "SweepingStorage",
    "check_key",
    "complete_key",
    "create_object",
    "digest_of",
    "is_key",
]

DIGEST = "{digest}"
"""In the key of a save: the first 12 digits of the content's SHA-256."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,199}")
_MAX_KEY_CHARACTERS = 900
_MOST_CREATED_BYTES = 64 * 1024


class Content(Protocol):
    """Bytes to be saved: their length is known, and they can be gone over again."""

    @property
    def size_bytes(self) -> int:
        """Length of all slices together."""

    def __iter__(self) -> Iterator[memoryview]:
        """Give the bytes from first to last, in slices that are not changed later."""


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content that is in memory as one `bytes` object."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Length of the data."""
        return len(self.data)

    def __iter__(self) -> Iterator[memoryview]:
        """Give the data as one slice."""
        yield memoryview(self.data)


@runtime_checkable
class StorageBackend(Protocol):
    """Bytes under keys. Keys are relative to one root and checked by `check_key`.

    Promises of every implementation: an object is there whole or not at all; what
    `save` returned is durable; a missing object is an error, never other bytes; `list`
    and `exists` see every finished `save` and `delete` of any process at once.
    """

    @property
    def url(self) -> str:
        """The absolute place of the root, without credentials."""

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step.

        Parameters
        ----------
        key : str
            May hold `DIGEST`, which becomes the first 12 digits of the digest.
        content : Content
            Gone over once or twice, also at the same time; never held whole.

        Raises
        ------
        StorageError
            Nothing of this content is visible then.
        """

    def load(self, key: str, *, max_bytes: int | None = None) -> bytearray:
        """Read an object into one buffer.

        Raises
        ------
        ObjectNotFoundError
            When nothing is stored there.
        StorageError
            When it is longer than `max_bytes`, or cannot be read.
        """

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; the file can seek."""

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""

    def exists(self, key: str) -> bool:
        """Tell whether an object is stored under the key."""

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all files below the folder `prefix`, sorted; all with ``""``.

        Those that were saved here are keys. What others put there is listed as well,
        under names that `is_key` may refuse.
        """


@runtime_checkable
class ConditionalStorage(Protocol):
    """A storage that can take a key for one writer among several."""

    def create(self, key: str, content: Content) -> bool:
        """Make `content` durable under `key` unless something lies there.

        Parameters
        ----------
        content : Content
            Short, and no other writer's: it should hold something unique.

        Returns
        -------
        bool
            Whether this content is what lies there now: False when another writer was
            faster, True also when a first try, whose answer got lost, had made it.

        Raises
        ------
        StorageError
            Whether it was made is unknown then; asked again, it tells.
        """


@runtime_checkable
class SweepingStorage(Protocol):
    """A storage in which saves that were cut short may leave something behind."""

    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Remove what older saves left; return how many bytes come back."""


def create_object(storage: StorageBackend, key: str, content: BytesContent) -> bool:
    """Create an object as `ConditionalStorage` does, or as nearly as a storage can.

    Of several writers to a storage that cannot, the last one has the key; all see that
    who ask again later.
    """
    if isinstance(storage, ConditionalStorage):
        return storage.create(key, content)
    if not storage.exists(key):
        storage.save(key, content)
    return storage.load(key, max_bytes=_MOST_CREATED_BYTES) == content.data


def check_key(key: str) -> str:
    """Return `key` when it is safe and portable.

    Raises
    ------
    InvalidNameError
        For anything but parts of ``A-Z a-z 0-9 . _ ~ -`` joined by ``/``: no absolute
        path, no empty part, no leading dot, no ``..``.
    """
    if not is_key(key):
        raise InvalidNameError(f"{key!r} is no storage key")
    return key


def is_key(name: str) -> bool:
    """Tell whether something can be saved under a name."""
    parts = name.split("/") if isinstance(name, str) else [""]
    sound = all(_PART.fullmatch(part) and ".." not in part for part in parts)
    return sound and len(name) <= _MAX_KEY_CHARACTERS


def complete_key(key: str, sha256: str) -> str:
    """Put a digest into a key that asks for it, and check the result."""
    return check_key(key.replace(DIGEST, sha256[:12]))


def digest_of(content: Content) -> str:
    """SHA-256 of a content, as ``sha256sum`` would print it of the file."""
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
