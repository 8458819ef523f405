"""A folder of its own for each start of an experiment."""

from __future__ import annotations

from flwr_registry.records import check_name
from flwr_registry.storage import StorageBackend

__all__ = ["folder_of", "latest_run_folder", "new_run_folder"]

_ROOT = "checkpoints"


def folder_of(run: str) -> str:
    """Key prefix of a run's checkpoints."""
    return f"{_ROOT}/{run}"


def new_run_folder(storage: StorageBackend, name: str) -> str:
    """Choose a name under which nothing is stored yet.

    Returns
    -------
    str
        `name` for the first start of an experiment, then ``name~2``, ``name~3``: rounds
        of different starts never lie side by side.
    """
    check_name(name, "run")
    start = 1
    while _is_used(storage, _numbered(name, start)):
        start += 1
    return _numbered(name, start)


def latest_run_folder(storage: StorageBackend, name: str) -> str | None:
    """Find the newest start of an experiment; None when there is none."""
    check_name(name, "run")
    start = 0
    while _is_used(storage, _numbered(name, start + 1)):
        start += 1
    return _numbered(name, start) if start else None


def _numbered(name: str, start: int) -> str:
    return name if start == 1 else f"{name}~{start}"


def _is_used(storage: StorageBackend, run: str) -> bool:
    return next(iter(storage.list(folder_of(run))), None) is not None
