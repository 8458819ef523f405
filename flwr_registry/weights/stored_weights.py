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

__all__ = ["load_verified", "load_weights", "save_weights"]


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
    try:
        with storage.open(stored.key) as file:
            buffer, sha256 = _read_and_hash(file, stored.size_bytes)
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
    return buffer


def _read_and_hash(file: BinaryIO, size_bytes: int) -> tuple[bytearray, str]:
    """Read a file of a known length; nothing is read when it has another one."""
    if file.seek(0, os.SEEK_END) != size_bytes:
        return bytearray(), ""
    file.seek(0)
    buffer, digest, filled = bytearray(size_bytes), hashlib.sha256(), 0
    view = memoryview(buffer)
    while count := file.readinto(view[filled : filled + SLICE_BYTES]):  # type: ignore[attr-defined]
        digest.update(view[filled : filled + count])
        filled += count
    return buffer, digest.hexdigest() if filled == size_bytes else ""
