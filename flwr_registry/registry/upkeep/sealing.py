"""Seals for checkpoints that were written before there was a key."""

from __future__ import annotations

from functools import partial

from flwr_registry.checkpointing import CheckpointManager, run_folders
from flwr_registry.keyed_seals import require_key
from flwr_registry.registry.steps import Steps, byte_work
from flwr_registry.storage import StorageBackend

__all__ = ["seal_checkpoints"]


def seal_checkpoints(storage: StorageBackend, *, replace: bool) -> Steps[list[str]]:
    """Seal the checkpoints of all runs that have no seal; return their names.

    Raises
    ------
    SealError
        When no key is set, or a seal is wrong that shall not be replaced.
    IntegrityError, CheckpointError
        For one that is damaged; those before it are sealed.
    """
    return byte_work(partial(_seal_all, storage, replace=replace))


def _seal_all(storage: StorageBackend, *, replace: bool) -> list[str]:
    require_key()
    return [
        f"{folder}/{server_round}"
        for folder in run_folders(storage)
        for server_round in CheckpointManager(storage, folder).seal(replace=replace)
    ]
