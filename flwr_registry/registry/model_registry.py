"""The registry: which model is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from flwr_registry.errors import RegistryError
from flwr_registry.records import (
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
    StoredObject,
    VersionMetadata,
)
from flwr_registry.registry import run_recording
from flwr_registry.registry.reading_registry import ReadingRegistry
from flwr_registry.registry.registration import Registration
from flwr_registry.registry.version_writing import (
    Reservation,
    commit_version,
    refuse_other_bytes,
    release_upload,
    reserve_version,
)
from flwr_registry.storage import digest_of
from flwr_registry.weights import Architecture, Weights, encode, save_weights

__all__ = ["ModelRegistry"]


class ModelRegistry(ReadingRegistry):
    """Versions of models with their past, in one database and one storage.

    Every method is one or two short transactions and returns frozen records. It may be
    used from several threads, copied and pickled.

    Parameters
    ----------
    url : str or path, optional
        SQLAlchemy URL (SQLite or PostgreSQL) or path of an SQLite file. By default
        ``FLWR_REGISTRY_URL``, else ``registry.db`` in a local storage, else in
        ``registry/`` under Flower's home.
    storage : str, path or StorageBackend, optional
        Folder or fsspec URL of the weights. By default ``FLWR_REGISTRY_STORAGE``, else
        the folder of an SQLite file, else ``registry/`` under Flower's home.
    lock_timeout_seconds : float
        How long a transaction waits for those of other processes.
    create : bool
        Make the database where there is none.

    Raises
    ------
    SchemaVersionError
        When the database belongs to an older or newer release.
    DatabaseError
        When it cannot be opened; the message says what to do.
    """

    def start_run(self, provenance: RunProvenance) -> Run:
        """Record that a run starts; each start is a run of its own.

        Raises
        ------
        InvalidNameError
            When the run or its model has an impossible name.
        """
        with self._database.write() as session:
            return run_recording.start_run(session, provenance)

    def record_round(
        self,
        run: Run,
        facts: RoundFacts,
        status: RoundStatus,
        *,
        errors: Sequence[str] = (),
        measured: ModelVersion | None = None,
    ) -> None:
        """Record a round that made no version; recorded again, it is replaced.

        Parameters
        ----------
        run, facts, status
            The run, what its round did, and what became of its model.
        errors : sequence of str
            Why the model was rejected.
        measured : ModelVersion, optional
            The version that the clients have after the round.
        """
        with self._database.write() as session:
            run_recording.save_round(
                session, run, facts, status, errors=errors, measured=measured
            )

    def record_metrics(
        self,
        run: Run,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        *,
        measured: ModelVersion | None,
    ) -> None:
        """Keep what was measured in a round, also with the version it was measured on.

        Parameters
        ----------
        run, server_round
            Where it was measured.
        source : MetricSource
            Who measured.
        metrics : mapping
            The measures; non-finite ones are kept.
        measured : ModelVersion or None
            The version whose weights were measured. If an earlier round made it and it
            has metrics of this source, those stay.
        """
        with self._database.write() as session:
            run_recording.save_metrics(
                session, run, server_round, source, metrics, measured=measured
            )

    def register(
        self,
        weights: Any,
        *,
        model: str,
        version: str | None = None,
        bump: str | None = None,
        parent: str | None = None,
        run: Run | None = None,
        facts: RoundFacts | None = None,
        errors: Sequence[str] = (),
        metrics: Mapping[str, Any] | None = None,
        metadata: VersionMetadata | None = None,
        reference: Architecture | None = None,
        privacy: tuple[float, float] | None = None,
    ) -> ModelVersion:
        """Make weights a durable version: bytes first, row last.

        Repeated with the same bytes for the same `version`, or for the same round of
        the same run, it returns the version that is there.

        Parameters
        ----------
        weights : Weights, mapping of arrays or tensors, or torch module
            Stored bit for bit.
        model : str
            The model's name.
        version : str, optional
            The number, for example ``"1.4.0"``. By default the architecture and the
            parent decide: minor for the same architecture, major for another.
        bump : str, optional
            ``"patch"``, ``"minor"`` or ``"major"``, to decide otherwise.
        parent : str, optional
            Reference of the version these weights were trained from, such as
            ``"1.3.0"``. By default the newest sound version of the run.
        run, facts : Run and RoundFacts, optional
            The round that made the weights.
        errors : sequence of str
            Why they failed validation; then the status is ``failed``.
        metrics : mapping, optional
            Measured on exactly these weights: plain for central evaluation, or by the
            values of `MetricSource`.
        metadata : VersionMetadata, optional
            What the user says about the version.
        reference : Architecture, optional
            Where it has integers, floats of the weights count as averaged counters.
        privacy : tuple of float, optional
            Epsilon and delta spent so far.

        Raises
        ------
        DuplicateVersionError
            When the version, or the round, is registered with other bytes; no bytes
            were written then, unless another writer was faster.
        InvalidNameError, InvalidReferenceError, TypeError, ValueError
            For arguments that make no sense; nothing was written.
        ModelNotFoundError
            When the parent is unknown.
        ValidationError
            When a minor or patch is wanted for another architecture.
        StorageError, DatabaseError
            When saving failed; nothing half-written is visible.
        """
        weights = Weights.of(weights)
        registration = Registration.checked(
            model,
            Architecture.of(weights, reference).fingerprint,
            version=version,
            bump=bump,
            parent=parent,
            run=run,
            facts=facts,
            errors=errors,
            metrics=metrics,
            metadata=metadata,
            privacy=privacy,
        )
        while True:
            with self._database.write() as session:
                reserved = reserve_version(session, registration)
            if isinstance(reserved, ModelVersion):
                return refuse_other_bytes(reserved, digest_of(encode(weights)))
            stored = self._save(reserved, weights)
            with self._database.write() as session:
                registered = commit_version(session, reserved, stored)
            if registered.storage_path == stored.key:
                return registered
            # Another writer was faster; look again at what there is now. What cannot
            # be deleted is an orphan, and no reason to fail.
            with suppress(RegistryError):
                self.storage.delete(stored.key)

    def _save(self, reservation: Reservation, weights: Weights) -> StoredObject:
        try:
            return save_weights(self.storage, reservation.key, weights)
        except BaseException:
            # The number is given back; the error of the storage is the one to see.
            with suppress(RegistryError), self._database.write() as session:
                release_upload(session, reservation)
            raise
