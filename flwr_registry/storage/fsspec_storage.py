"""Storage on any fsspec URL: object stores, memory, sftp and the rest."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

from flwr_registry.errors import (
    ObjectNotFoundError,
    ObjectUnreadableError,
    RegistryError,
    StorageError,
)
from flwr_registry.masking import masked_url
from flwr_registry.records import StoredObject
from flwr_registry.storage.deadlines import (
    GivenUpError,
    running_deadline,
    timed_out,
)
from flwr_registry.storage.listed_files import ListedFile
from flwr_registry.storage.private_random import give_own_generators
from flwr_registry.storage.storage_backend import (
    DIGEST,
    Content,
    check_key,
    complete_key,
    digest_of,
)

__all__ = ["FsspecStorageBackend", "translated"]

_WHOLE_ON_CLOSE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
# Those whose drivers make a file only where there is none.
_CREATES = {*_WHOLE_ON_CLOSE, "memory"}
_READ_BYTES = 4 * 1024 * 1024
_READING = {"open", "load", "read"}
# What drivers call the time of the last writing; a new object is also a created one.
_TIMES = (
    "mtime",
    "LastModified",
    "last_modified",
    "modified",
    "updated",
    "created",
    "creation_time",
)


class FsspecStorageBackend:
    """Objects under one fsspec URL.

    Object stores show an object when its file is closed; everywhere else it is written
    under a temporary name first and moved.

    Parameters
    ----------
    url : str
        For example ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``memory://root``.
    **options
        Handed to the file system, as in `fsspec.open`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = masked_url(url.rstrip("/"))
        with translated("open", "", self._url):
            self._fs, root = fsspec.core.url_to_fs(
                url, use_listings_cache=False, **options
            )
        give_own_generators()
        self._root = root.rstrip("/")
        protocols = self._fs.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self._whole_on_close = bool(names & _WHOLE_ON_CLOSE)
        self._creates = bool(names & _CREATES)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    @property
    def url(self) -> str:
        """The absolute place of the root, without credentials."""
        return self._url

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step.

        The content is gone over twice: the digest may be part of the key, and an object
        store wants the key first.
        """
        sha256 = digest_of(content)
        key = complete_key(key, sha256)
        path = self._path(key)
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
        with translated("save", key, self.url):
            if self._whole_on_close:
                self._write(path, content)
            else:
                self._fs.makedirs(folder, exist_ok=True)
                self._write(temporary, content)
                self._fs.mv(temporary, path)
        return StoredObject(key, content.size_bytes, sha256)

    def create(self, key: str, content: Content) -> bool:
        """Make `content` durable under `key` unless something lies there.

        Not every server heeds the condition. So it is looked first whether something
        lies there, and last what does: of two writers that one does not tell apart, the
        later one has it, and all who look again agree.
        """
        if not self.exists(key):
            with translated("create", key, self.url), suppress(FileExistsError):
                self._create(key, content)
        size = content.size_bytes
        with self.open(key) as file, translated("load", key, self.url):
            return file.read(size + 1) == b"".join(content)

    def load(self, key: str, *, max_bytes: int | None = None) -> bytearray:
        """Read an object into one buffer."""
        with self.open(key) as file, translated("load", key, self.url):
            size = file.seek(0, 2)
            file.seek(0)
            if max_bytes is not None and size > max_bytes:
                raise StorageError(
                    f"{key} in {self.url} has {size} bytes, more than the {max_bytes} "
                    "that it may have",
                    key=key,
                )
            deadline = running_deadline()
            if deadline is not None:
                deadline.allow_bytes(size)
            return _read_whole(file, size, key)

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; the file can seek."""
        with translated("open", key, self.url):
            file = self._fs.open(self._path(check_key(key)), "rb")
            return cast(BinaryIO, file)

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""
        with translated("delete", key, self.url), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(check_key(key)))

    def exists(self, key: str) -> bool:
        """Tell whether an object is stored under the key."""
        with translated("look up", key, self.url):
            return bool(self._fs.isfile(self._path(check_key(key))))

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all files below the folder `prefix`, sorted; all with ``""``."""
        return (key for key, _ in self._all_below(prefix))

    def inspect(self, prefix: str) -> Iterator[ListedFile]:
        """Give each file below the folder `prefix`, sorted by name; opens none."""
        return (_listed(key, found) for key, found in self._all_below(prefix))

    def _all_below(self, prefix: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Give name and description of each file below a folder, sorted."""
        folder = self._path(check_key(prefix)) if prefix else self._root
        with translated("list", prefix, self.url):
            is_folder = self._fs.isdir(folder)
            found = list(self._found(folder)) if is_folder else []
        start = len(self._root) + 1
        named = [(path[start:], described) for path, described in found]
        return sorted(
            (each for each in named if not _is_temporary(each[0])),
            key=lambda each: each[0],
        )

    def _found(self, folder: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Give the paths of all files below a folder, with what is told of them."""
        if not _goes_through_folders(self._fs):
            yield from self._fs.find(folder, detail=True).items()
            return
        # fsspec would leave out each folder that it cannot read, and say nothing.
        left = [folder]
        while left:
            place = left.pop()
            with suppress(FileNotFoundError):  # another process removed it
                for each in self._fs.ls(place, detail=True):
                    path = each["name"].rstrip("/")
                    if each["type"] != "directory":
                        yield path, each
                    elif path != place:
                        left.append(path)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _create(self, key: str, content: Content) -> None:
        """Write under a key where nothing lay; raise FileExistsError where it does."""
        if self._creates:
            self._fs.pipe_file(self._path(key), b"".join(content), mode="create")
        else:
            self.save(key, content)

    def _write(self, path: str, content: Content) -> None:
        file = self._fs.open(path, "wb")
        try:
            for piece in content:
                file.write(piece)
        except BaseException:
            # Closing would publish a truncated object that looks complete.
            with suppress(Exception):
                file.discard()
            with suppress(Exception):
                self._fs.rm_file(path)
            raise
        file.close()


@contextmanager
def translated(verb: str, key: str, place: str) -> Iterator[None]:
    """Turn what a file system raises into this package's errors."""
    thing = f"{key.replace(DIGEST, '*')} in {place}" if key else place
    try:
        yield
    except (RegistryError, KeyboardInterrupt, SystemExit):
        raise
    except GivenUpError as given_up:
        raise timed_out(verb, key, place, given_up) from None
    except FileNotFoundError as error:
        raise ObjectNotFoundError(f"{thing} does not exist", key=key) from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        told = f"cannot {verb} {thing}: {reason}"
        if key and verb in _READING and _is_no_file(error):
            raise ObjectNotFoundError(f"{told}; no object is there", key=key) from error
        if key and verb in _READING and isinstance(error, PermissionError):
            raise ObjectUnreadableError(told, key=key) from error
        raise StorageError(told, key=key) from error


def _is_no_file(error: Exception) -> bool:
    """Tell whether a folder lies in an object's place, or a file in its folder's."""
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return True
    # fsspec's memory calls a file in a folder's place one that exists.
    no_file = IsADirectoryError | NotADirectoryError | FileExistsError
    return isinstance(error, no_file)


def _listed(key: str, described: Mapping[str, Any]) -> ListedFile:
    size = described.get("size")
    return ListedFile(
        key,
        size if isinstance(size, int) else 0,
        _written_at(described),
        bool(described.get("islink")) or described.get("type") == "link",
    )


def _written_at(described: Mapping[str, Any]) -> datetime | None:
    """Read when a file was written, which each driver calls otherwise."""
    told = next((described[name] for name in _TIMES if described.get(name)), None)
    try:
        if isinstance(told, str):
            told = datetime.fromisoformat(told)
        elif isinstance(told, int | float):
            told = datetime.fromtimestamp(told, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(told, datetime):
        return None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _goes_through_folders(file_system: Any) -> bool:
    """Tell whether fsspec itself goes through the folders of a file system."""
    if isinstance(file_system, AsyncFileSystem):
        return type(file_system)._find is AsyncFileSystem._find
    return type(file_system).find is AbstractFileSystem.find


def _read_whole(file: BinaryIO, size: int, key: str) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        count = file.readinto(view[filled : filled + _READ_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise StorageError(
                f"cannot load {key}: it ended after {filled} of {size} bytes", key=key
            )
        filled += count
    return buffer


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(".")
