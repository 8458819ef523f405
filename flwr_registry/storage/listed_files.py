"""What lies in a storage, whoever put it there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from flwr_registry.errors import ObjectNotFoundError, StorageError
from flwr_registry.storage.storage_backend import StorageBackend, is_key

__all__ = ["InspectedStorage", "ListedFile", "listed_files"]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a storage, as a listing shows it.

    Attributes
    ----------
    key : str
        Its name below the root. What others put there may have one that is no key.
    size_bytes : int
        Its length.
    written_at : datetime or None
        When it was last written, by the storage's clock; None where none is told.
    linked : bool
        It is a symbolic link, or lies behind one: its bytes are elsewhere.
    """

    key: str
    size_bytes: int
    written_at: datetime | None
    linked: bool = False

    @property
    def is_foreign(self) -> bool:
        """Whether no storage of this package can have put it there."""
        return self.linked or not is_key(self.key)


@runtime_checkable
class InspectedStorage(Protocol):
    """A storage that tells more of its files than their names."""

    def inspect(self, prefix: str) -> Iterator[ListedFile]:
        """Give each file below the folder `prefix`, sorted by name; opens none."""


def listed_files(storage: StorageBackend, prefix: str) -> list[ListedFile]:
    """List the files below a folder; their age is unknown where a storage is mute."""
    if isinstance(storage, InspectedStorage):
        return list(storage.inspect(prefix))
    found = []
    for key in storage.list(prefix):
        with suppress(ObjectNotFoundError):  # another process removed it
            found.append(ListedFile(key, _size_of(storage, key), None))
    return found


def _size_of(storage: StorageBackend, key: str) -> int:
    if not is_key(key):
        return 0
    try:
        with storage.open(key) as file:
            return file.seek(0, 2)
    except ObjectNotFoundError:
        raise
    except StorageError:
        # One that cannot be read is there all the same.
        return 0
