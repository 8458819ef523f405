"""What the committed checkpoints of a storage refer to."""

from __future__ import annotations

from collections.abc import Iterator

from flwr_registry.checkpointing import CheckpointManager, Manifest, run_folders
from flwr_registry.errors import CheckpointError, IntegrityError, ObjectNotFoundError
from flwr_registry.storage import StorageBackend

__all__ = ["each_manifest", "resume_points"]

Found = tuple[str, int, Manifest | None, str]


def each_manifest(storage: StorageBackend) -> Iterator[Found]:
    """Read all committed manifests: folder, round, manifest or None, and why it failed.

    What a run removed or replaced meanwhile is not damaged.

    Raises
    ------
    StorageError
        When the storage does not answer: nothing may be concluded then.
    """
    for folder in run_folders(storage):
        manager = CheckpointManager(storage, folder)
        for server_round in manager.rounds():
            manifest, problem = _read(manager, server_round)
            if manifest is None and server_round in manager.rounds():
                manifest, problem = _read(manager, server_round)
            elif manifest is None:
                continue
            yield folder, server_round, manifest, problem


def _read(manager: CheckpointManager, server_round: int) -> tuple[Manifest | None, str]:
    try:
        return manager.manifest_of(server_round), ""
    except (CheckpointError, IntegrityError, ObjectNotFoundError) as error:
        return None, str(error)


def resume_points(storage: StorageBackend) -> frozenset[str]:
    """Return the keys of the weights from which checkpoints go on."""
    return frozenset(
        manifest.weights.key
        for _, _, manifest, _ in each_manifest(storage)
        if manifest is not None
    )
