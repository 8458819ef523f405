"""Any storage, with an end to each of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any, BinaryIO, TypeVar, cast

from flwr_registry.records import StoredObject
from flwr_registry.storage.bounded_file import BoundedFile
from flwr_registry.storage.deadlines import (
    TIMEOUT_SECONDS,
    Deadline,
    GivenUpError,
    checked_timeout,
    timed_out,
)
from flwr_registry.storage.listed_files import InspectedStorage, ListedFile
from flwr_registry.storage.operation_threads import OperationThreads
from flwr_registry.storage.private_random import give_own_generators
from flwr_registry.storage.storage_backend import (
    ConditionalStorage,
    Content,
    StorageBackend,
    SweepingStorage,
)

__all__ = ["BoundedStorage", "bounded_storage", "unbounded_storage"]

Result = TypeVar("Result")

_KEY_BYTES = 1024


class BoundedStorage:
    """A storage whose operations end in time, whatever the one below does.

    An operation runs in a thread of its own and is given up when its time is over. That
    is `timeout_seconds`, and one second more for each MiB that is saved or read, and
    for each 1,024 keys that are listed. An operation that is given up may still be done
    later; of a content that was to be saved, nothing more is read then.

    Made by `bounded_storage`, which also shows what else the storage can do.

    Parameters
    ----------
    storage : StorageBackend
        Any storage.
    timeout_seconds : float
        How long it may not answer.
    """

    def __init__(self, storage: StorageBackend, timeout_seconds: float) -> None:
        self._storage = storage
        self._timeout_seconds = checked_timeout(timeout_seconds)
        self._threads = OperationThreads()

    def __repr__(self) -> str:
        return f"{self._storage!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        return bounded_storage, (self._storage, self._timeout_seconds)

    @property
    def storage(self) -> StorageBackend:
        """The storage below."""
        return self._storage

    @property
    def timeout_seconds(self) -> float:
        """How long the storage may not answer."""
        return self._timeout_seconds

    @property
    def url(self) -> str:
        """The absolute place of the root, without credentials."""
        return self._storage.url

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step."""
        size = content.size_bytes
        deadline = Deadline(self._timeout_seconds, size_bytes=size)
        watched = _WatchedContent(content, deadline)
        work = partial(self._storage.save, key, watched)
        return self._bounded("save", key, work, deadline)

    def load(self, key: str, *, max_bytes: int | None = None) -> bytearray:
        """Read an object into one buffer."""
        work = partial(self._storage.load, key, max_bytes=max_bytes)
        return self._bounded("load", key, work)

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; the file can seek, and its reads end in time."""
        work = partial(self._storage.open, key)
        file = self._bounded("open", key, work, drop=_close)
        refused = partial(timed_out, "read", key, self.url)
        timeout = self._timeout_seconds
        return cast(BinaryIO, BoundedFile(file, self._threads, timeout, refused))

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""
        self._bounded("delete", key, partial(self._storage.delete, key))

    def exists(self, key: str) -> bool:
        """Tell whether an object is stored under the key."""
        return self._bounded("look up", key, partial(self._storage.exists, key))

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects below the folder `prefix`, sorted; all with ``""``."""
        return self._listed(prefix, self._storage.list)

    def _listed(
        self, prefix: str, listing: Callable[[str], Iterator[Result]]
    ) -> Iterator[Result]:
        deadline = Deadline(self._timeout_seconds)

        def found() -> list[Result]:
            all_found = []
            for each in listing(prefix):
                all_found.append(each)
                deadline.allow_bytes(_KEY_BYTES)
            return all_found

        return iter(self._bounded("list", prefix, found, deadline))

    def _bounded(
        self,
        verb: str,
        key: str,
        work: Callable[[], Result],
        deadline: Deadline | None = None,
        drop: Callable[[Result], None] | None = None,
    ) -> Result:
        deadline = deadline or Deadline(self._timeout_seconds)
        try:
            return self._threads.run(work, deadline, drop)
        except GivenUpError as given_up:
            raise timed_out(verb, key, self.url, given_up) from None


class _BoundedSweeping(BoundedStorage):
    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Remove what older saves left; return how many bytes come back."""
        storage = cast(SweepingStorage, self._storage)
        work = partial(storage.sweep_unfinished, max_age_seconds)
        return self._bounded("sweep", "", work)


class _BoundedConditional(BoundedStorage):
    def create(self, key: str, content: Content) -> bool:
        """Make `content` durable under `key` unless something lies there."""
        storage = cast(ConditionalStorage, self._storage)
        deadline = Deadline(self._timeout_seconds, size_bytes=content.size_bytes)
        watched = _WatchedContent(content, deadline)
        work = partial(storage.create, key, watched)
        return self._bounded("create", key, work, deadline)


class _BoundedInspected(BoundedStorage):
    def inspect(self, prefix: str) -> Iterator[ListedFile]:
        """Give each file below the folder `prefix`, sorted by name; opens none."""
        return self._listed(prefix, cast(InspectedStorage, self._storage).inspect)


# What a storage may be able to do beside the rest, and what bounds that.
_ABILITIES: dict[Any, type[BoundedStorage]] = {
    ConditionalStorage: _BoundedConditional,
    InspectedStorage: _BoundedInspected,
    SweepingStorage: _BoundedSweeping,
}


def bounded_storage(
    storage: StorageBackend, timeout_seconds: float = TIMEOUT_SECONDS
) -> BoundedStorage:
    """Give each operation of a storage an end, see `BoundedStorage`.

    One that has an end already is never wrapped again: the shorter time counts. Known
    libraries below lose python's global generator, see `give_own_generators`.

    Raises
    ------
    ValueError
        When `timeout_seconds` is no positive number.
    """
    if isinstance(storage, BoundedStorage):
        if storage.timeout_seconds <= checked_timeout(timeout_seconds):
            return storage
        storage = storage.storage
    give_own_generators()
    able = (kind for known, kind in _ABILITIES.items() if isinstance(storage, known))
    return _kind_of(tuple(able))(storage, timeout_seconds)


def unbounded_storage(storage: StorageBackend) -> StorageBackend:
    """Return the storage itself, to look what it is."""
    return storage.storage if isinstance(storage, BoundedStorage) else storage


class _WatchedContent:
    """A content of which nothing more is given when the time is over.

    So nothing becomes durable late, and memory is held no longer than needed.
    """

    def __init__(self, content: Content, deadline: Deadline) -> None:
        self.size_bytes = content.size_bytes
        self._content = content
        self._deadline = deadline

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._content:
            self._check()
            yield piece
        self._check()

    def _check(self) -> None:
        if not self._deadline.remaining_seconds:
            raise GivenUpError(self._deadline.total_seconds)


@cache
def _kind_of(able: tuple[type[BoundedStorage], ...]) -> type[BoundedStorage]:
    if len(able) < 2:
        return able[0] if able else BoundedStorage
    return cast(type[BoundedStorage], type("BoundedStorage", able, {}))


def _close(file: BinaryIO) -> None:
    with suppress(Exception):
        file.close()
