"""The small files by which a storage root tells whose it is."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from flwr_registry.errors import ObjectNotFoundError, StorageError, StorageOwnerError
from flwr_registry.registry.ownership.database_places import DatabasePlace
from flwr_registry.storage import (
    BytesContent,
    StorageBackend,
    create_object,
    is_key,
)

__all__ = [
    "ROOT_KEY",
    "Mark",
    "create_root_mark",
    "former_writers",
    "mark_here",
    "other_writers",
    "own_marks",
    "read_root_mark",
    "save_root_mark",
    "save_writer_mark",
]

ROOT_KEY = "registry.json"
"""Names the registry that a root belongs to."""

_WRITERS = "registries"
_FORMER = "former_registries"
_JSON = ".json"
_FORMAT = 1
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """What a database leaves in a root that it writes to.

    Attributes
    ----------
    id : str
        Of the registry, in the file of the root; of a database, in its own.
    database : str
        Where it was, without its password; to be shown, never to be opened.
    host : str
        The machine that wrote the file.
    """

    id: str
    database: str
    host: str

    def is_gone(self, here: Mark) -> bool:
        """Tell whether its database is no longer there, as far as `here` can see."""
        return self._place.is_gone(here._place)

    def is_at(self, here: Mark) -> bool:
        """Tell whether its database is in the place of `here`."""
        return self._place.is_that_of(here._place)

    @property
    def _place(self) -> DatabasePlace:
        return DatabasePlace(self.database, self.host)


def mark_here(database: str) -> Mark:
    """Describe a database of this machine, whose identity is not known yet."""
    return Mark("", database, socket.gethostname())


def read_root_mark(storage: StorageBackend) -> Mark | None:
    """Read whose a root is; None where nobody has taken it yet.

    Raises
    ------
    StorageOwnerError
        When the file cannot be read as one of this release.
    StorageError
        When the storage does not answer.
    """
    return _read(storage, ROOT_KEY)


def create_root_mark(storage: StorageBackend, mark: Mark) -> bool:
    """Take a root that nobody has; False when another writer was faster."""
    return create_object(storage, ROOT_KEY, _content(mark))


def save_root_mark(storage: StorageBackend, mark: Mark) -> None:
    """Take a root, whoever has it, and whoever else writes to it.

    Those who are shut out stay known, since their rows may name what lies there.
    """
    for key in [ROOT_KEY, *_marks_in(storage, _WRITERS)]:
        with suppress(StorageOwnerError):
            before = _read(storage, key)
            if before is not None and not before.is_gone(mark):
                storage.save(_key(_FORMER, before), _content(before))
    storage.save(ROOT_KEY, _content(mark))
    for key in _marks_in(storage, _WRITERS):
        storage.delete(key)


def save_writer_mark(storage: StorageBackend, mark: Mark) -> None:
    """Say that one more database writes to a root."""
    storage.save(_key(_WRITERS, mark), _content(mark))


def own_marks(storage: StorageBackend, own_id: str) -> Iterator[Mark]:
    """Give what a database, or one that it is a copy of, left in a root."""
    with suppress(StorageOwnerError):
        if (mark := _read(storage, ROOT_KEY)) is not None and mark.id == own_id:
            yield mark
    for key in _marks_in(storage, _WRITERS):
        # Whoever wrote what cannot be read, it says nothing of this one.
        with suppress(StorageOwnerError):
            if (mark := _read(storage, key)) is not None and mark.id == own_id:
                yield mark


def other_writers(storage: StorageBackend, own_id: str, here: Mark) -> Iterator[Mark]:
    """Give the other databases that may still be there and need bytes of a root.

    One with the same identity in another place is a copy, or what this is a copy of.
    """
    for key in [ROOT_KEY, *_marks_in(storage, _WRITERS)]:
        mark = _read(storage, key)
        if mark is None or mark.is_gone(here):
            continue
        if mark.id != own_id or not mark.is_at(here):
            yield mark


def former_writers(storage: StorageBackend, here: Mark) -> Iterator[tuple[str, Mark]]:
    """Give the databases that were shut out and are still there, by their marks."""
    for key in _marks_in(storage, _FORMER):
        mark = _read(storage, key)
        if mark is not None and not mark.is_gone(here):
            yield key, mark


def _marks_in(storage: StorageBackend, folder: str) -> list[str]:
    """List the marks in a folder; what others put there is none."""
    return [key for key in storage.list(folder) if is_key(key) and key.endswith(_JSON)]


def _key(folder: str, mark: Mark) -> str:
    """Name a mark after its database and the place, since a copy has the same id."""
    text = f"{mark.host}\n{mark.database}".encode(errors="backslashreplace")
    place = hashlib.sha256(text).hexdigest()
    return f"{folder}/{mark.id}-{place[:12]}{_JSON}"


def _content(mark: Mark) -> BytesContent:
    said = {
        "format": _FORMAT,
        "id": mark.id,
        "database": mark.database,
        "host": mark.host,
    }
    return BytesContent((json.dumps(said, indent=2) + "\n").encode())


def _read(storage: StorageBackend, key: str) -> Mark | None:
    try:
        data = storage.load(key, max_bytes=_MOST_BYTES)
    except ObjectNotFoundError:
        return None
    except StorageError as error:
        if not _is_too_long(storage, key):
            raise
        raise _unreadable(storage, key, error) from error
    try:
        said = json.loads(data)
        if said["format"] > _FORMAT:
            raise StorageOwnerError(
                f"{key} in {storage.url} is of a newer release of flwr-registry "
                f"(format {said['format']}): upgrade this one"
            )
        if str(uuid.UUID(said["id"])) != said["id"]:
            raise ValueError("its id is not written as one is")
        return Mark(said["id"], str(said["database"]), str(said["host"]))
    except (
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise _unreadable(storage, key, error) from error


def _is_too_long(storage: StorageBackend, key: str) -> bool:
    """Tell whether an object that cannot be loaded is none that a registry wrote."""
    with storage.open(key) as file:
        return file.seek(0, os.SEEK_END) > _MOST_BYTES


def _unreadable(
    storage: StorageBackend, key: str, error: Exception
) -> StorageOwnerError:
    return StorageOwnerError(
        f"{key} in {storage.url}, which says whose the storage is, cannot be read "
        f"({error}): put it back from a backup, or let 'flwr-registry doctor "
        "--adopt' write it anew for the registry that it belongs to"
    )
