"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flwr_registry.errors import ExportError
from flwr_registry.file_modes import let_read, make_folder

__all__ = ["check_free", "whole_file", "whole_folder"]


def check_free(path: Path, *, overwrite: bool, folder: bool = False) -> None:
    """See that an export may be written here.

    Parameters
    ----------
    folder : bool
        A folder is to be written, not a file: neither takes the place of the other.

    Raises
    ------
    ExportError
        When something is there, or the folder that it is to lie in is not.
    """
    if path.exists() and path.is_dir() != folder:
        kind = "file" if folder else "folder"
        raise ExportError(f"{path} is a {kind}: choose another place")
    if path.exists() and not overwrite:
        raise ExportError(
            f"{path} is there already: choose another place, or replace it with "
            "overwrite=True (--overwrite)"
        )
    if not path.name or not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` when the block ends well."""
    # In a folder of its own, nobody else can read it before its access is set.
    folder = _private_folder(path)
    temporary = folder / path.name
    try:
        yield temporary
        let_read(temporary)
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(
    path: Path, last: str = "", gone: Sequence[str] = ()
) -> Iterator[Path]:
    """Give a temporary folder to write to; it becomes `path` when the block ends well.

    Where a folder is already, its files of the same names are replaced one by one.

    Parameters
    ----------
    last : str, optional
        Name of the file that tells what the folder holds. An old one goes first and
        the new one comes last, so that whoever finds it finds the others too.
    gone : sequence of str, optional
        Names of files of the old ones that go.
    """
    private = _private_folder(path)
    temporary = private / path.name
    try:
        make_folder(temporary)
        yield temporary
        for file in temporary.iterdir():
            let_read(file)
            _flush(file)
        _flush(temporary)
        if path.exists():
            written = sorted(temporary.iterdir(), key=lambda file: file.name == last)
            for name in [*([last] if last else []), *gone]:
                (path / name).unlink(missing_ok=True)
            for file in written:
                os.replace(file, path / file.name)
            _flush(path)
        else:
            os.rename(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _private_folder(path: Path) -> Path:
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    folder.mkdir(0o700)
    return folder


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
