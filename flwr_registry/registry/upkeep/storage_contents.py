"""What lies in a storage, whatever a database knows of it."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_registry.checkpointing import run_folders
from flwr_registry.storage import StorageBackend

__all__ = ["StorageContents", "look_into"]


@dataclass(frozen=True, slots=True)
class StorageContents:
    """What lies in a storage.

    Attributes
    ----------
    runs : tuple of str
        Names of the runs that have a folder of checkpoints.
    versions : frozenset of str
        References of the versions that have a file.
    """

    runs: tuple[str, ...]
    versions: frozenset[str]


def look_into(storage: StorageBackend) -> StorageContents:
    """List what lies in a storage by its keys; nothing is read.

    Raises
    ------
    StorageError
        When the storage does not answer.
    """
    names = (folder.partition("~")[0] for folder in run_folders(storage))
    parts = (key.split("/") for key in storage.list("models"))
    versions = (f"{each[1]}:{each[2]}" for each in parts if len(each) > 3)
    return StorageContents(tuple(dict.fromkeys(names)), frozenset(versions))
