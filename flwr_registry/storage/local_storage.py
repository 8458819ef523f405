"""Storage in a folder of this machine, durable through power loss."""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from flwr_registry.file_modes import create_file, make_folder
from flwr_registry.records import StoredObject
from flwr_registry.storage.fsspec_storage import (
    FsspecStorageBackend,
    translated,
)
from flwr_registry.storage.listed_files import ListedFile
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
_FOLDER_ATTEMPTS = 10
# On the way to a file; without a limit, folders full of links to each other have
# countless ways.
_MOST_LINKS = 4


class _Found(NamedTuple):
    """A file or a link below the root.

    It is `linked` when it is a link or lies behind one, and `is_followed` when what it
    leads to is looked through as well.
    """

    key: str
    entry: os.DirEntry[str]
    linked: bool
    is_followed: bool


class _Place(NamedTuple):
    """A folder that is looked through.

    It is `linked` when it lies behind a link below the root; `followed` is where the
    links on the way to it lead.
    """

    path: Path
    linked: bool
    followed: frozenset[str]


class LocalStorageBackend(FsspecStorageBackend):
    """Objects as files below one folder.

    A save writes a temporary file in the target's own folder, flushes it to the disk,
    renames it, and flushes every folder that changed: without the flushes a power loss
    takes files that were acknowledged. Files and folders are made for their owner
    alone, unless ``FLWR_REGISTRY_UMASK`` says otherwise.

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
        # Another process may remove the same object, and its folder, meanwhile.
        with (
            translated("delete", key, self.url),
            suppress(FileNotFoundError, NotADirectoryError),
        ):
            if path.is_dir() and not path.is_symlink():
                return
            path.unlink()
            _flush_folder(path.parent)
        self._remove_empty(path.parent)

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all files below the folder `prefix`, sorted; all with ``""``."""
        with translated("list", prefix, self.url):
            found = self._entries(prefix)
            return iter(sorted(each.key for each in found if not each.is_followed))

    def inspect(self, prefix: str) -> Iterator[ListedFile]:
        """Give each file below the folder `prefix`, sorted by name; opens none."""
        found = []
        with translated("list", prefix, self.url):
            for each in self._entries(prefix):
                with suppress(FileNotFoundError):  # another process removed it
                    told = each.entry.stat(follow_symlinks=False)
                    at = datetime.fromtimestamp(told.st_mtime, UTC)
                    found.append(ListedFile(each.key, told.st_size, at, each.linked))
        return iter(sorted(found, key=lambda each: each.key))

    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Remove temporary files that killed processes left; return their bytes."""
        freed, limit = 0, time.time() - max_age_seconds
        with translated("sweep", "", self.url):
            for path in self._folder.rglob(f".*{_TEMPORARY}"):
                with suppress(FileNotFoundError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode) and found.st_mtime < limit:
                        path.unlink()
                        freed += found.st_size
        return freed

    def _entries(self, prefix: str) -> Iterator[_Found]:
        """Find each file and link below a folder.

        Links to folders are followed, since a model may lie on another disk; but not
        back to where they are, nor to where a link on the way there led.
        """
        left = [self._place_of(prefix)]
        while left:
            place = left.pop()
            for entry in _entries_of(place.path):
                path = Path(entry.path)
                is_link = entry.is_symlink()
                inner = self._behind_link(place, path) if is_link else place
                is_followed = is_link and _leads_on(place, path)
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_followed or is_folder:
                    left.append(inner._replace(path=path))
                if not is_folder and not entry.name.startswith("."):
                    key = path.relative_to(self._folder).as_posix()
                    yield _Found(key, entry, inner.linked, is_followed)

    def _place_of(self, prefix: str) -> _Place:
        """Go down to a folder, noting the links on the way."""
        place = _Place(self._folder, linked=False, followed=frozenset())
        for part in check_key(prefix).split("/") if prefix else ():
            path = place.path / part
            inner = self._behind_link(place, path) if path.is_symlink() else place
            place = inner._replace(path=path)
        return place

    def _behind_link(self, place: _Place, link: Path) -> _Place:
        """Return the place that a link leads to; one in the root is part of it."""
        linked = place.linked or place.path != self._folder
        return _Place(link, linked, place.followed | {os.path.realpath(link)})

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
        os.close(create_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(made, path)


def _entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder; one that another process removed is empty."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _leads_on(place: _Place, link: Path) -> bool:
    """Tell whether a link leads to a folder that is not on the way to it."""
    target = os.path.realpath(link)
    if not os.path.isdir(target) or target in place.followed:
        return False
    if len(place.followed) >= _MOST_LINKS:
        return False
    on_the_way = os.path.join(os.path.realpath(place.path), "")
    return not on_the_way.startswith(os.path.join(target, ""))


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
    for _ in range(_FOLDER_ATTEMPTS):
        # Another process may remove the folder while it is still empty.
        with suppress(FileNotFoundError):
            _make_folder(path.parent)
            return create_file(path, flags)
    _make_folder(path.parent)
    return create_file(path, flags)


def _make_folder(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        make_folder(made)
        _flush_folder(made.parent)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
