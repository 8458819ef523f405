"""What the committed checkpoints of a storage refer to."""

from __future__ import annotations

from collections.abc import Iterator

from flwr_registry.checkpointing import Manifest
from flwr_registry.checkpointing import each_manifest as each_found
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
    for each in each_found(storage):
        yield each.folder, each.server_round, each.manifest, str(each.error or "")


def resume_points(storage: StorageBackend) -> frozenset[str]:
    """Return the keys of the weights from which checkpoints go on."""
    return frozenset(
        manifest.weights.key
        for _, _, manifest, _ in each_manifest(storage)
        if manifest is not None
    )
