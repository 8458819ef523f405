"""Places of bytes, as a manifest tells of them."""

from __future__ import annotations

from typing import Any

from flwr_registry.records import StoredObject
from flwr_registry.storage.storage_backend import check_key

__all__ = ["stored_object"]

_MAX_BYTES = 2**63 - 1


def stored_object(said: Any) -> StoredObject:
    """Read the place of an object.

    Raises
    ------
    TypeError, ValueError
        When nothing can lie there.
    """
    match said:
        case {"key": str(key), "size_bytes": int(size), "sha256": str(sha256), **rest}:
            is_whole = not rest and type(size) is int and 0 <= size <= _MAX_BYTES
            if is_whole:
                return StoredObject(check_key(key), size, sha256)
    raise ValueError(f"{str(said)[:80]} is no place of bytes")
