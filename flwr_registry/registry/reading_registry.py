"""Opening a registry, and asking it."""

from __future__ import annotations

import builtins
import os
from typing import Any, Self

from flwr_registry.records import (
    Contribution,
    Lineage,
    ModelVersion,
    Round,
    Run,
    StoredObject,
    VersionStatus,
)
from flwr_registry.registry import queries
from flwr_registry.registry.database import Database
from flwr_registry.registry.lineage import lineage_of
from flwr_registry.registry.locations import resolve_places
from flwr_registry.registry.references import LATEST, Reference, parse_reference
from flwr_registry.registry.row_records import version_record
from flwr_registry.registry.schema import open_schema
from flwr_registry.storage import StorageBackend, storage_from_url
from flwr_registry.weights import Weights, load_weights

__all__ = ["ReadingRegistry"]


class ReadingRegistry:
    """The verbs of `ModelRegistry` that only read, and its opening."""

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        storage: str | os.PathLike[str] | StorageBackend | None = None,
        *,
        lock_timeout_seconds: float = 10.0,
        create: bool = True,
    ) -> None:
        found = resolve_places(url, storage)
        self._lock_timeout_seconds = lock_timeout_seconds
        self._store = found.storage
        self._database = Database(
            found.database, lock_timeout_seconds=lock_timeout_seconds
        )
        try:
            open_schema(self._database, create=create)
        except BaseException:
            self._database.close()
            raise
        self._storage = (
            storage_from_url(self._store)
            if isinstance(self._store, str)
            else self._store
        )

    @property
    def url(self) -> str:
        """The absolute place of the database, without its password."""
        return self._database.place

    @property
    def storage(self) -> StorageBackend:
        """Where the bytes of the versions lie."""
        return self._storage

    def close(self) -> None:
        """Close all connections to the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, {self.storage.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        url = self._database.url.render_as_string(hide_password=False)
        return _reopen, (type(self), url, self._store, self._lock_timeout_seconds)

    def get(self, reference: str) -> ModelVersion:
        """Find a version.

        Parameters
        ----------
        reference : str
            ``name`` (its latest), ``name:1.4.0``, ``name@production``, ``name/latest``,
            ``models:/name/1.4.0`` or ``models:/name@alias``.

        Raises
        ------
        ModelNotFoundError
            The message names what comes near.
        NoProductionModelError
            When production is asked for and nothing is.
        InvalidReferenceError
            When the text is no reference.
        """
        return self._find(parse_reference(reference))

    def latest(self, model: str) -> ModelVersion:
        """Find the version that was registered last and did not fail validation.

        Raises
        ------
        ModelNotFoundError
            When there is none.
        """
        return self._find(Reference(model, alias=LATEST))

    def list(
        self,
        model: str | None = None,
        *,
        status: VersionStatus | None = None,
        run: str | None = None,
        limit: int | None = None,
    ) -> builtins.list[ModelVersion]:
        """List versions, newest first; all conditions hold together.

        Parameters
        ----------
        model, status, run : optional
            Name of the model, status of the version, name of the run.
        limit : int, optional
            At most so many.
        """
        status = None if status is None else VersionStatus(status)
        with self._database.read() as session:
            return queries.list_versions(
                session, model=model, status=status, run=run, limit=limit
            )

    def lineage(self, reference: str) -> Lineage:
        """Find a version with all that it comes from and all that came of it."""
        wanted = parse_reference(reference)
        with self._database.read() as session:
            return lineage_of(session, queries.find_version(session, wanted))

    def load(self, reference: str) -> Weights:
        """Read the weights of a version, verified against its SHA-256.

        Raises
        ------
        IntegrityError
            When the stored bytes are not those that were registered.
        ObjectNotFoundError
            When they are gone.
        """
        found = self.get(reference)
        stored = StoredObject(found.storage_path, found.file_size_bytes, found.checksum)
        return load_weights(self.storage, stored)

    def models(self) -> builtins.list[str]:
        """List the names of all models that have a version."""
        with self._database.read() as session:
            return queries.list_models(session)

    def runs(self, model: str | None = None) -> builtins.list[Run]:
        """List runs, newest first."""
        with self._database.read() as session:
            return queries.list_runs(session, model)

    def rounds(self, run: Run) -> builtins.list[Round]:
        """List rounds of a run in their order, with their contributions."""
        with self._database.read() as session:
            return queries.list_rounds(session, run.id)

    def contributions(self, reference: str) -> tuple[Contribution, ...]:
        """List what each node gave to the round that made a version."""
        wanted = parse_reference(reference)
        with self._database.read() as session:
            found = queries.find_version(session, wanted)
            return tuple(queries.list_contributions(session, found))

    def _find(self, reference: Reference) -> ModelVersion:
        with self._database.read() as session:
            return version_record(queries.find_version(session, reference))


def _reopen(
    kind: type[ReadingRegistry],
    url: str,
    storage: str | StorageBackend,
    lock_timeout_seconds: float,
) -> ReadingRegistry:
    return kind(url, storage, lock_timeout_seconds=lock_timeout_seconds)
