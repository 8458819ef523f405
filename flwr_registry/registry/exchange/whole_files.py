"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flwr_registry.errors import ExportError

__all__ = ["check_free", "whole_file", "whole_folder"]


def check_free(path: Path, *, overwrite: bool) -> None:
    """See that an export may be written here.

    Raises
    ------
    ExportError
        When something is there, or the folder is not.
    """
    if path.exists() and not overwrite:
        raise ExportError(f"{path} is there already: choose another place or overwrite")
    if not path.name or not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` when the block ends well."""
    temporary = _temporary_name(path)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to write to; it becomes `path` when the block ends well.

    Where a folder is already, its files of the same names are replaced one by one.
    """
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            _flush(file)
        _flush(temporary)
        if path.exists():
            for file in sorted(temporary.iterdir()):
                os.replace(file, path / file.name)
            _flush(path)
        else:
            os.rename(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
