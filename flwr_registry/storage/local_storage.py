"""Storage in a folder of this machine, durable through power loss."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from flwr_registry.records import StoredObject
from flwr_registry.storage.fsspec_storage import (
    FsspecStorageBackend,
    translated,
)
from flwr_registry.storage.storage_backend import (
    Content,
    check_key,
    complete_key,
    digest_of,
)

__all__ = ["LocalStorageBackend"]

_FEW_BYTES = 256 * 1024
_NO_DIGEST = "0" * 64
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_TEMPORARY = ".tmp"


class LocalStorageBackend(FsspecStorageBackend):
    """Objects as files below one folder.

    A save writes a temporary file in the target's own folder, flushes it to the disk,
    renames it, and flushes every folder that changed: without the flushes a power loss
    takes files that were acknowledged.

    Parameters
    ----------
    root : str or path
        The folder; made at the first save.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._folder = Path(os.path.abspath(Path(root).expanduser()))
        super().__init__(self._folder.as_uri())
        self._root = str(self._folder)
        self._url = str(self._folder)

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step."""
        folder = (self._folder / complete_key(key, _NO_DIGEST)).parent
        temporary = folder / f".{uuid.uuid4().hex}{_TEMPORARY}"
        with translated("save", key, self.url):
            try:
                sha256 = _write_durably(temporary, content)
                key = complete_key(key, sha256)
                os.replace(temporary, self._folder / key)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            _flush_folder(folder)
        return StoredObject(key, content.size_bytes, sha256)

    def _create(self, key: str, content: Content) -> None:
        path = self._folder / key
        temporary = path.parent / f".{uuid.uuid4().hex}{_TEMPORARY}"
        try:
            _write_durably(temporary, content)
            _link(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()
        _flush_folder(path.parent)

    def delete(self, key: str) -> None:
        """Remove an object, and folders that it leaves empty."""
        path = self._folder / check_key(key)
        with translated("delete", key, self.url):
            if not path.exists():
                return
            path.unlink()
            _flush_folder(path.parent)
        self._remove_empty(path.parent)

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects below the folder `prefix`, sorted; all with ``""``."""
        folder = self._folder / check_key(prefix) if prefix else self._folder
        keys = []
        with translated("list", prefix, self.url):
            places = os.walk(folder, onerror=_raise_unless_gone, followlinks=True)
            for place, _, names in places:
                below = Path(place).relative_to(self._folder).as_posix()
                start = "" if below == "." else f"{below}/"
                keys += [start + name for name in names if not name.startswith(".")]
        return iter(sorted(keys))

    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Remove temporary files that killed processes left; return their bytes."""
        freed, limit = 0, time.time() - max_age_seconds
        with translated("sweep", "", self.url):
            for path in self._folder.rglob(f".*{_TEMPORARY}"):
                with suppress(FileNotFoundError):
                    found = path.stat()
                    if found.st_mtime < limit:
                        path.unlink()
                        freed += found.st_size
        return freed

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent


def _link(made: Path, path: Path) -> None:
    """Give a finished file its name, unless that is taken."""
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: whoever makes the name first may fill it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.replace(made, path)


def _raise_unless_gone(error: OSError) -> None:
    """Raise what keeps a folder from being listed, but that another has removed it."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _write_durably(path: Path, content: Content) -> str:
    if content.size_bytes < _FEW_BYTES:
        _write(path, content)
        return digest_of(content)
    # The two go over the content each for itself: neither waits for the other, and the
    # disk is flushed while the rest is hashed.
    with ThreadPoolExecutor(1, "flwr-registry-sha256") as beside:
        digest = beside.submit(digest_of, content)
        _write(path, content)
        return digest.result()


def _write(path: Path, content: Content) -> None:
    with open(_create(path), "wb", buffering=0) as file:
        for piece in content:
            remaining = piece
            while remaining:
                remaining = remaining[file.write(remaining) :]
        os.fsync(file.fileno())
        if content.size_bytes >= _FEW_BYTES and hasattr(os, "posix_fadvise"):
            # What is rarely read soon should not take the memory that training wants:
            # without it, rounds of large models were measured to take longer.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    _make_folder(path.parent)
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        # Another process removed the folder while it was still empty.
        _make_folder(path.parent)
        return os.open(path, flags, 0o666)


def _make_folder(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        _flush_folder(made.parent)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
