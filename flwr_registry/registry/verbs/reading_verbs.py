"""Asking for versions, runs and rounds."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

from flwr_registry.records import (
    Contribution,
    ModelVersion,
    Round,
    Run,
    StoredObject,
    VersionStatus,
)
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions import queries
from flwr_registry.registry.versions.references import (
    LATEST,
    Reference,
    parse_reference,
)
from flwr_registry.registry.versions.stored_bytes import read_stored
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import Weights, load_weights, open_tensors

__all__ = ["AsyncReadingVerbs", "ReadingVerbs"]


class ReadingVerbs(BlockingRegistry):
    """The verbs that only read."""

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
        return self._run(_found(parse_reference(reference)))

    def latest(self, model: str) -> ModelVersion:
        """Find the version that was registered last and did not fail validation.

        Raises
        ------
        ModelNotFoundError
            When there is none.
        """
        return self._run(_found(Reference(model, alias=LATEST)))

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
        return self._run(_listed(model, status, run, limit))

    def load(self, reference: str) -> Weights:
        """Read the weights of a version, verified against its SHA-256.

        Raises
        ------
        IntegrityError
            When the stored bytes are not those that were registered.
        ObjectNotFoundError
            When they are gone.
        InvalidStateError
            When retention removed them.
        """
        return self._run(_loaded(self.storage, parse_reference(reference)))

    def load_tensors(
        self, reference: str, names: Iterable[str], *, verify: bool = True
    ) -> Weights:
        """Read some tensors of a version; no other is ever in memory.

        Parameters
        ----------
        names : iterable of str
            As `load` gives them, in the order wanted.
        verify : bool
            ``False`` fetches the bytes of these tensors alone (from S3 by range) and
            does without the comparison of SHA-256, which needs all bytes of the file.

        Raises
        ------
        TensorNotFoundError
            The message names what comes near.
        IntegrityError, ObjectNotFoundError, InvalidStateError
            As `load` does.
        """
        return self._run(
            _selected(self.storage, parse_reference(reference), tuple(names), verify)
        )

    def models(self) -> builtins.list[str]:
        """List the names of all models that have a version."""
        return self._run(read(queries.list_models))

    def runs(
        self, model: str | None = None, *, flwr_run_id: int | str | None = None
    ) -> builtins.list[Run]:
        """List runs, newest first; all conditions hold together.

        Parameters
        ----------
        model : str, optional
            Name of the model.
        flwr_run_id : int or str, optional
            The number that ``flwr run`` prints.
        """
        return self._run(_runs(model, flwr_run_id))

    def count_versions(self, model: str | None = None) -> dict[int, int]:
        """Count the versions of each run that made one, by the id of the run.

        Parameters
        ----------
        model : str, optional
            Name of the model.
        """
        return self._run(read(lambda s: queries.count_versions(s, model)))

    def rounds(self, run: Run) -> builtins.list[Round]:
        """List rounds of a run in their order, with their contributions."""
        return self._run(read(lambda session: queries.list_rounds(session, run.id)))

    def contributions(self, reference: str) -> tuple[Contribution, ...]:
        """List what each node gave to the round that made a version."""
        return self._run(_given(parse_reference(reference)))


class AsyncReadingVerbs(AwaitedRegistry):
    """The verbs of `ReadingVerbs`, awaited."""

    async def get(self, reference: str) -> ModelVersion:
        """Find a version; see `ModelRegistry.get`."""
        return await self._run(_found(parse_reference(reference)))

    async def latest(self, model: str) -> ModelVersion:
        """Find the newest sound version; see `ModelRegistry.latest`."""
        return await self._run(_found(Reference(model, alias=LATEST)))

    async def list(
        self,
        model: str | None = None,
        *,
        status: VersionStatus | None = None,
        run: str | None = None,
        limit: int | None = None,
    ) -> builtins.list[ModelVersion]:
        """List versions, newest first; see `ModelRegistry.list`."""
        return await self._run(_listed(model, status, run, limit))

    async def load(self, reference: str) -> Weights:
        """Read the weights of a version; see `ModelRegistry.load`."""
        return await self._run(_loaded(self.storage, parse_reference(reference)))

    async def load_tensors(
        self, reference: str, names: Iterable[str], *, verify: bool = True
    ) -> Weights:
        """Read some tensors of a version; see `ModelRegistry.load_tensors`."""
        return await self._run(
            _selected(self.storage, parse_reference(reference), tuple(names), verify)
        )

    async def models(self) -> builtins.list[str]:
        """List the names of all models that have a version."""
        return await self._run(read(queries.list_models))

    async def runs(
        self, model: str | None = None, *, flwr_run_id: int | str | None = None
    ) -> builtins.list[Run]:
        """List runs, newest first; see `ModelRegistry.runs`."""
        return await self._run(_runs(model, flwr_run_id))

    async def count_versions(self, model: str | None = None) -> dict[int, int]:
        """Count the versions of each run; see `ModelRegistry.count_versions`."""
        return await self._run(read(lambda s: queries.count_versions(s, model)))

    async def rounds(self, run: Run) -> builtins.list[Round]:
        """List rounds of a run in their order; see `ModelRegistry.rounds`."""
        return await self._run(
            read(lambda session: queries.list_rounds(session, run.id))
        )

    async def contributions(self, reference: str) -> tuple[Contribution, ...]:
        """List what each node gave; see `ModelRegistry.contributions`."""
        return await self._run(_given(parse_reference(reference)))


def _found(reference: Reference) -> Steps[ModelVersion]:
    return read(lambda session: queries.find_record(session, reference))


def _listed(
    model: str | None, status: VersionStatus | None, run: str | None, limit: int | None
) -> Steps[builtins.list[ModelVersion]]:
    wanted = None if status is None else VersionStatus(status)
    return read(
        lambda session: queries.list_versions(
            session, model=model, status=wanted, run=run, limit=limit
        )
    )


def _runs(
    model: str | None, flwr_run_id: int | str | None
) -> Steps[builtins.list[Run]]:
    number = None if flwr_run_id is None else str(flwr_run_id)
    return read(lambda s: queries.list_runs(s, model, flwr_run_id=number))


def _loaded(storage: StorageBackend, reference: Reference) -> Steps[Weights]:
    weights, _ = yield from read_stored(
        reference, lambda stored: load_weights(storage, stored)
    )
    return weights


def _selected(
    storage: StorageBackend, reference: Reference, names: tuple[str, ...], verify: bool
) -> Steps[Weights]:
    def reading(stored: StoredObject) -> Weights:
        with open_tensors(storage, stored, verify=verify) as tensors:
            return tensors.select(names)

    weights, _ = yield from read_stored(reference, reading)
    return weights


def _given(reference: Reference) -> Steps[tuple[Contribution, ...]]:
    return read(
        lambda session: tuple(
            queries.list_contributions(
                session, queries.find_version(session, reference)
            )
        )
    )
