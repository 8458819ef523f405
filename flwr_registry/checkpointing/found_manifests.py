"""The manifests of all committed checkpoints, read beside whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flwr_registry.checkpointing.checkpoint import Manifest, NewerFormatError
from flwr_registry.checkpointing.checkpoint_manager import CheckpointManager
from flwr_registry.checkpointing.run_folders import run_folders
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    ObjectNotFoundError,
    ObjectUnreadableError,
    RegistryError,
    SealError,
)
from flwr_registry.storage import StorageBackend

__all__ = ["FoundManifest", "each_manifest", "manifests_of"]


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """What was found of a committed checkpoint.

    Attributes
    ----------
    manifest : Manifest or None
        None when it could not be read.
    error : RegistryError or None
        Why.
    """

    folder: str
    server_round: int
    manifest: Manifest | None = None
    error: RegistryError | None = None

    @property
    def is_only_out_of_reach(self) -> bool:
        """Whether it may be sound: another user, key or newer release can read it."""
        reasons = ObjectUnreadableError | NewerFormatError | SealError
        return isinstance(self.error, reasons)

    def __str__(self) -> str:
        return f"{self.folder}/{self.server_round}"


def each_manifest(storage: StorageBackend) -> Iterator[FoundManifest]:
    """Read the committed manifests of all runs, those of a folder newest first.

    Raises
    ------
    StorageError
        When the storage does not answer: nothing may be concluded then.
    """
    for folder in run_folders(storage):
        yield from manifests_of(storage, folder)


def manifests_of(storage: StorageBackend, folder: str) -> Iterator[FoundManifest]:
    """Read the committed manifests of one folder, newest first.

    What a run removed or replaced meanwhile is not damaged.

    Raises
    ------
    StorageError
        When the storage does not answer.
    """
    manager = CheckpointManager(storage, folder)
    for server_round in reversed(manager.rounds()):
        found = _read(manager, folder, server_round)
        if found.error is not None:
            if server_round not in manager.rounds():
                continue
            found = _read(manager, folder, server_round)
        yield found


def _read(manager: CheckpointManager, folder: str, server_round: int) -> FoundManifest:
    try:
        manifest = manager.manifest_of(server_round)
    except (
        CheckpointError,
        IntegrityError,
        ObjectNotFoundError,
        ObjectUnreadableError,
        SealError,
    ) as error:
        return FoundManifest(folder, server_round, error=error)
    return FoundManifest(folder, server_round, manifest)
