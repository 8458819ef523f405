"""A folder of its own for each start of an experiment."""

from __future__ import annotations

import re

from flwr_registry.errors import InvalidNameError
from flwr_registry.records import check_name
from flwr_registry.storage import StorageBackend

__all__ = [
    "ROOT",
    "folder_of",
    "is_run_folder",
    "latest_run_folder",
    "new_run_folder",
    "run_folders",
]

ROOT = "checkpoints"

_START = re.compile(r"[2-9]|[1-9][0-9]+")


def folder_of(run: str) -> str:
    """Key prefix of a run's checkpoints.

    Raises
    ------
    InvalidNameError
        For anything but a name, or a name and the number of its start.
    """
    name, mark, start = run.partition("~")
    check_name(name, "run")
    if mark and not _START.fullmatch(start):
        raise InvalidNameError(f"{run!r} is no folder of a run, such as '{name}~2'")
    return f"{ROOT}/{run}"


def new_run_folder(storage: StorageBackend, name: str) -> str:
    """Choose a name under which nothing is stored yet.

    Returns
    -------
    str
        `name` for the first start of an experiment, then ``name~2``, ``name~3``: rounds
        of different starts never lie side by side.
    """
    starts = _starts(storage, name)
    return _numbered(name, starts[-1] + 1 if starts else 1)


def latest_run_folder(storage: StorageBackend, name: str) -> str | None:
    """Find the newest start of an experiment; None when there is none."""
    folders = run_folders(storage, name)
    return folders[-1] if folders else None


def run_folders(storage: StorageBackend, name: str | None = None) -> list[str]:
    """List the starts of an experiment, oldest first; of all, by name, without one."""
    if name is not None:
        return [_numbered(name, start) for start in _starts(storage, name)]
    names = {key.split("/")[1] for key in storage.list(ROOT) if key.count("/") > 1}
    runs: dict[str, set[int]] = {}
    for folder in filter(is_run_folder, names):
        run, _, start = folder.partition("~")
        runs.setdefault(run, set()).add(int(start or 1))
    return [
        _numbered(run, start)
        for run, starts in sorted(runs.items())
        for start in sorted(starts)
    ]


def is_run_folder(name: str) -> bool:
    """Tell the folders of runs from what others put beside them."""
    try:
        folder_of(name)
    except InvalidNameError:
        return False
    return True


def _numbered(name: str, start: int) -> str:
    return name if start == 1 else f"{name}~{start}"


def _starts(storage: StorageBackend, name: str) -> list[int]:
    """Find the numbers of all starts; some may be gone."""
    check_name(name, "run")
    folder = re.compile(rf"{ROOT}/{re.escape(name)}(?:~({_START.pattern}))?/")
    found = (folder.match(key) for key in storage.list(ROOT))
    return sorted({int(each[1] or 1) for each in found if each})
