"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flwr_registry.errors import ExportError

__all__ = ["check_free", "whole_file"]


def check_free(path: Path, *, overwrite: bool) -> None:
    """See that an export may be written here.

    Raises
    ------
    ExportError
        When something is there, or the folder is not.
    """
    if path.exists() and not overwrite:
        raise ExportError(f"{path} is there already: choose another place or overwrite")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
