"""What a registry knows once it is opened, however its verbs are waited for."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from flwr_registry.records import RoundFacts
from flwr_registry.registry.database.engines import place_of
from flwr_registry.registry.database.locations import resolve_places
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.steps import Steps
from flwr_registry.registry.versions.node_names import NodeNames
from flwr_registry.storage import StorageBackend, bounded_storage, storage_from_url

__all__ = ["OpenedRegistry"]

Result = TypeVar("Result")


class OpenedRegistry:
    """Places and settings of a registry."""

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        storage: str | os.PathLike[str] | StorageBackend | None = None,
        *,
        lock_timeout_seconds: float = 10.0,
        timeout_seconds: float = 60.0,
        create: bool = True,
        node_key: str | None = None,
    ) -> None:
        found = resolve_places(url, storage)
        self._places = found
        self._lock_timeout_seconds = lock_timeout_seconds
        self._timeout_seconds = timeout_seconds
        self._create = create
        self._nodes = NodeNames.with_key(node_key)
        storage = (
            storage_from_url(found.storage, timeout_seconds)
            if isinstance(found.storage, str)
            else bounded_storage(found.storage, timeout_seconds)
        )
        self._root = OwnRoot(storage, self.url)

    @property
    def url(self) -> str:
        """The absolute place of the database, without its password."""
        return place_of(self._places.database)

    @property
    def described_places(self) -> dict[str, Any] | None:
        """What another process opens the same registry with.

        The password of the database is in it. None where the storage was given as an
        object, which no text describes.
        """
        if not isinstance(self._places.storage, str):
            return None
        return {
            "url": self._places.database.render_as_string(hide_password=False),
            "storage": self._places.storage,
            "timeout_seconds": self._timeout_seconds,
        }

    @property
    def storage(self) -> StorageBackend:
        """Where the bytes of the versions lie."""
        return self._root.storage

    @property
    def node_names(self) -> NodeNames:
        """How node ids are written down here."""
        return self._nodes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, {self.storage.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        url = self._places.database.render_as_string(hide_password=False)
        settings = {
            "lock_timeout_seconds": self._lock_timeout_seconds,
            "timeout_seconds": self._timeout_seconds,
            "node_key": self._nodes.key,
        }
        return _reopened, (type(self), url, self._places.storage, settings)

    def _in_own_root(self, steps: Steps[Result]) -> Steps[Result]:
        """Do what tells of the storage, once it is known to be this registry's."""
        yield from self._root.claim()
        return (yield from steps)

    def _named(self, facts: RoundFacts | None) -> RoundFacts | None:
        """Return the facts of a round with the names that its nodes have here."""
        return None if facts is None else self._nodes.named(facts)


def _reopened(
    kind: type[OpenedRegistry],
    url: str,
    storage: str | StorageBackend,
    settings: dict[str, Any],
) -> OpenedRegistry:
    return kind(url, storage, **settings)
