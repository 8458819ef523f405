"""Weights in a storage: saved in one pass, verified whenever they are read."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from flwr_registry.errors import IntegrityError, StorageError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import StorageBackend
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_file import SLICE_BYTES, decode, encode

__all__ = ["load_verified", "load_weights", "save_weights", "verify_stored"]


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
    buffer = load_verified(storage, stored)
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
    buffer = bytearray(stored.size_bytes)
    _verify(storage, stored, memoryview(buffer))
    return buffer


def verify_stored(storage: StorageBackend, stored: StoredObject) -> None:
    """Go through an object in constant memory; compare length and SHA-256.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `load_verified` does.
    """
    _verify(storage, stored, None)


def _verify(
    storage: StorageBackend,
    stored: StoredObject,
    whole: memoryview | None,
) -> None:
    try:
        with storage.open(stored.key) as file:
            sha256 = _hash(file, stored.size_bytes, whole)
    except OSError as error:
        raise StorageError(
            f"cannot read {stored.key} in {storage.url}: {error}", key=stored.key
        ) from error
    if sha256 != stored.sha256:
        found = f"SHA-256 {sha256[:12]}" if sha256 else "another length"
        raise IntegrityError(
            f"{stored.key} in {storage.url} is damaged: it has {found}, saved were "
            f"{stored.size_bytes} bytes with SHA-256 {stored.sha256[:12]}",
            key=stored.key,
        )


def _hash(file: BinaryIO, size_bytes: int, whole: memoryview | None) -> str:
    """Hash a file of a known length; nothing is read when it has another one.

    Without room for all of it, each slice overwrites the one before.
    """
    if file.seek(0, os.SEEK_END) != size_bytes:
        return ""
    file.seek(0)
    slice_view = memoryview(bytearray(min(size_bytes, SLICE_BYTES)))
    digest, filled = hashlib.sha256(), 0
    while True:
        into = slice_view if whole is None else whole[filled : filled + SLICE_BYTES]
        count = file.readinto(into)  # type: ignore[attr-defined]
        if not count:
            return digest.hexdigest() if filled == size_bytes else ""
        digest.update(into[:count])
        filled += count
