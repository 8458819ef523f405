"""The stored bytes of what a reference names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flwr_registry.errors import InvalidStateError, ObjectNotFoundError
from flwr_registry.records import ModelVersion, StoredObject
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.queries import find_record
from flwr_registry.registry.versions.references import Reference
from flwr_registry.registry.versions.removed_bytes import refuse_removed_bytes
from flwr_registry.storage import StorageBackend

__all__ = ["read_stored", "stored_weights"]

Content = TypeVar("Content")


def read_stored(
    reference: Reference, reading: Callable[[StoredObject], Content]
) -> Steps[tuple[Content, ModelVersion]]:
    """Read the bytes of the version that a reference names, and return both.

    When an alias moved on and the bytes were removed before they were read, it is
    looked again what the alias names: content and record are always of one version.

    Raises
    ------
    InvalidStateError, ObjectNotFoundError
        When the bytes were removed, or are gone.
    """
    found = yield from _found(reference)
    while True:
        try:
            return (yield from _content_of(found, reading)), found
        except (InvalidStateError, ObjectNotFoundError):
            before, found = found, (yield from _found(reference))
            if found.id == before.id:
                refuse_removed_bytes(found)
                raise


def stored_weights(storage: StorageBackend) -> frozenset[str]:
    """List the keys of all weights that the storage has.

    Raises
    ------
    StorageError
        When the storage does not answer.
    """
    return frozenset(storage.list("models"))


def _found(reference: Reference) -> Steps[ModelVersion]:
    return read(lambda session: find_record(session, reference))


def _content_of(
    version: ModelVersion, reading: Callable[[StoredObject], Content]
) -> Steps[Content]:
    refuse_removed_bytes(version)
    return (yield from byte_work(lambda: reading(version.stored)))
