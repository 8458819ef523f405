"""Weights in a storage: saved in one pass, verified whenever they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeVar

import numpy as np

from flwr_registry.errors import IntegrityError, StorageError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import SlicedDigest, StorageBackend
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_file import SLICE_BYTES, decode, encode

__all__ = [
    "check_found",
    "copy_verified",
    "load_verified",
    "load_weights",
    "save_weights",
    "verify_stored",
]

_Room = TypeVar("_Room", bytearray, memoryview)


def save_weights(storage: StorageBackend, key: str, weights: Weights) -> StoredObject:
    """Make weights durable as a safetensors file.

    Parameters
    ----------
    key : str
        May hold ``{digest}``.

    Raises
    ------
    StorageError
        Nothing is visible under the key then.
    """
    return storage.save(key, encode(weights))


def load_weights(storage: StorageBackend, stored: StoredObject) -> Weights:
    """Read weights back, bit for bit those that were saved.

    Raises
    ------
    ObjectNotFoundError
        When the file is gone.
    IntegrityError
        When its length or SHA-256 differs from `stored`.
    """
    # numpy asks for large pages, which are filled in half of the time.
    buffer = _filled(lambda size: np.empty(size, np.uint8).data, storage, stored)
    try:
        return decode(buffer)
    except WeightsFormatError as error:
        raise WeightsFormatError(
            f"{stored.key} in {storage.url}: {error}", key=stored.key
        ) from error


def load_verified(storage: StorageBackend, stored: StoredObject) -> bytearray:
    """Read an object, hashing while reading, and compare length and SHA-256.

    Raises
    ------
    ObjectNotFoundError
        When nothing is stored under the key.
    IntegrityError
        When the bytes are not those that were saved.
    StorageError
        When they cannot be read.
    """
    return _filled(bytearray, storage, stored)


def verify_stored(storage: StorageBackend, stored: StoredObject) -> None:
    """Go through an object in constant memory; compare length and SHA-256.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `load_verified` does.
    """
    for _ in _verified(storage, stored):
        pass


def copy_verified(
    storage: StorageBackend, stored: StoredObject, target: BinaryIO
) -> None:
    """Copy an object in constant memory; it is whole only when nothing is raised.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `load_verified` does.
    OSError
        When `target` cannot be written.
    """
    for piece in _verified(storage, stored):
        target.write(piece)


def _filled(
    make_room: Callable[[int], _Room], storage: StorageBackend, stored: StoredObject
) -> _Room:
    """Read an object into room that is made when it is known to have its length."""
    with SlicedDigest() as digest, _reading(storage, stored) as file:
        check_found(storage, stored, file.seek(0, os.SEEK_END))
        room = make_room(stored.size_bytes)
        for piece in _slices(file, stored.size_bytes, memoryview(room)):
            digest.update(piece)
        check_found(storage, stored, file.tell(), digest.hexdigest())
    return room


def _verified(storage: StorageBackend, stored: StoredObject) -> Iterator[memoryview]:
    """Give the slices of an object, and raise after the last if they are others.

    Each slice overwrites the one before.
    """
    digest = hashlib.sha256()
    with _reading(storage, stored) as file:
        for piece in _slices(file, stored.size_bytes, None):
            digest.update(piece)
            yield piece
        check_found(storage, stored, file.tell(), digest.hexdigest())


@contextmanager
def _reading(storage: StorageBackend, stored: StoredObject) -> Iterator[BinaryIO]:
    try:
        with storage.open(stored.key) as file:
            yield file
    except OSError as error:
        raise StorageError(
            f"cannot read {stored.key} in {storage.url}: {error}", key=stored.key
        ) from error


def check_found(
    storage: StorageBackend,
    stored: StoredObject,
    size_bytes: int,
    sha256: str | None = None,
) -> None:
    """Compare the length of an object, and its SHA-256 where that is known.

    Raises
    ------
    IntegrityError
        When they are not those that were saved.
    """
    sound = size_bytes == stored.size_bytes
    if not sound or (sha256 is not None and sha256 != stored.sha256):
        found = f"SHA-256 {sha256[:12]}" if sound and sha256 else "another length"
        raise IntegrityError(
            f"{stored.key} in {storage.url} is damaged: it has {found}, saved were "
            f"{stored.size_bytes} bytes with SHA-256 {stored.sha256[:12]}",
            key=stored.key,
        )


def _slices(
    file: BinaryIO, size_bytes: int, whole: memoryview | None
) -> Iterator[memoryview]:
    """Read a file of a known length; nothing of it when it has another one."""
    if file.seek(0, os.SEEK_END) != size_bytes:
        return
    file.seek(0)
    room = memoryview(bytearray(min(size_bytes, SLICE_BYTES) if whole is None else 0))
    filled = 0
    while True:
        into = room if whole is None else whole[filled : filled + SLICE_BYTES]
        count = file.readinto(into)  # type: ignore[attr-defined]
        if not count:
            return
        filled += count
        yield into[:count]
