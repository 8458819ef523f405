"""Seals for checkpoints that were written before there was a key."""

from __future__ import annotations

from functools import partial

from flwr_registry.checkpointing import CheckpointManager, run_folders
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    RegistryError,
    SealError,
)
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
        For the first one that is damaged; all others are sealed.
    """
    return byte_work(partial(_seal_all, storage, replace=replace))


def _seal_all(storage: StorageBackend, *, replace: bool) -> list[str]:
    require_key()
    sealed: list[str] = []
    failed: list[RegistryError] = []
    for folder in run_folders(storage):
        try:
            rounds = CheckpointManager(storage, folder).seal(replace=replace)
        except (SealError, IntegrityError, CheckpointError) as error:
            failed.append(error)
        else:
            sealed += [f"{folder}/{server_round}" for server_round in rounds]
    if failed:
        raise failed[0]
    return sealed
