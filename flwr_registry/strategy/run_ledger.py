"""One run's place in the database and in the storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    CheckpointScheduler,
    EveryNRounds,
    capture_random_state,
    new_run_folder,
)
from flwr_registry.errors import PromotionRefusedError
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
from flwr_registry.registry import ModelRegistry, resolve_places
from flwr_registry.storage import StorageBackend, storage_from_url
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import log_left_out, log_places
from flwr_registry.strategy.run_history import RunHistory
from flwr_registry.strategy.strategy_state import StrategyState
from flwr_registry.weights import Architecture, Weights

__all__ = ["RunLedger"]


class RunLedger:
    """Writes what a run gives: versions, rounds, metrics and checkpoints.

    The database is opened when it is first needed and tried again after a failure; the
    storage works without it.

    Parameters
    ----------
    options : RegistryOptions
        Where to write, and what to say of each version.
    provenance : RunProvenance
        Of the run.
    export_state : callable
        Gives the state of the strategy, for checkpoints.
    """

    def __init__(
        self,
        options: RegistryOptions,
        provenance: RunProvenance,
        export_state: Callable[[], StrategyState],
    ) -> None:
        self.provenance = provenance
        self._options = options
        self._export_state = export_state
        self._storage = self._place_storage()
        self._scheduler: CheckpointScheduler = EveryNRounds(options.checkpoint_every)
        self._checkpoints: CheckpointManager | None = None
        self._registry: ModelRegistry | None = None
        self._run: Run | None = None
        self._left_out_is_known = False

    def open(self) -> None:
        """Open storage and database and say where they are.

        Raises
        ------
        RegistryError
            When either cannot be opened.
        """
        log_places(self.provenance, self._shown_database, self._storage.url)
        self._registered_run()

    def close(self) -> None:
        """Close the database, unless the user brought it."""
        if self._registry is not None and self._registry is not self._options.registry:
            self._registry.close()
        self._registry = None

    def register(
        self,
        weights: Weights,
        facts: RoundFacts,
        *,
        parent: ModelVersion | None,
        errors: Sequence[str],
        privacy: tuple[float, float] | None,
    ) -> ModelVersion:
        """Store a round's model and register it as a version.

        Parameters
        ----------
        parent : ModelVersion or None
            What the round was trained from; None for the run's newest version, if any.
        """
        registry, run = self._registered_run()
        return registry.register(
            weights,
            model=self.provenance.model,
            run=run,
            facts=facts,
            parent=parent.version if parent else None,
            errors=errors,
            metadata=self._metadata(weights),
            privacy=privacy,
        )

    def record_round(
        self, facts: RoundFacts, status: RoundStatus, measured: ModelVersion | None
    ) -> None:
        """Register a round that gave no version."""
        registry, run = self._registered_run()
        registry.record_round(run, facts, status, measured=measured)

    def record_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: ModelVersion | None,
    ) -> None:
        """Attach metrics to the round, and to the version that they measured."""
        registry, run = self._registered_run()
        registry.record_metrics(run, server_round, source, metrics, measured=measured)

    def promote(self, version: ModelVersion) -> tuple[str, ...]:
        """Put a version into production if it passes the user's gates.

        Returns
        -------
        tuple of str
            The gates that it did not pass; empty when it is in production now.
        """
        registry, _ = self._registered_run()
        try:
            registry.promote(
                version.reference,
                gates=self._options.gates or (),
                reason=f"round {version.server_round} of run {self.provenance.name}",
                actor="RegistryStrategy",
            )
        except PromotionRefusedError as error:
            return error.refusals
        return ()

    def save_checkpoint(
        self,
        server_round: int,
        model: ModelVersion | Weights | None,
        history: RunHistory,
        reference: Architecture | None,
    ) -> None:
        """Write the checkpoint of a round, when one is due.

        Parameters
        ----------
        model : ModelVersion or Weights or None
            What training goes on with; a version's bytes are not written again.
        """
        if model is None or not self._scheduler.due(server_round):
            return
        state = self._export_state()
        self._tell_left_out(state.left_out)
        self._manager().save(
            CheckpointContent(
                server_round=server_round,
                model=self.provenance.model,
                version=model.version if isinstance(model, ModelVersion) else None,
                weights=_stored(model) if isinstance(model, ModelVersion) else model,
                state=state.tree,
                state_arrays=state.arrays,
                metrics=history.metrics,
                versions=history.versions,
                random_state=capture_random_state(),
                strategy=self.provenance.strategy,
                fingerprint=reference.fingerprint if reference else "",
            )
        )

    def _place_storage(self) -> StorageBackend:
        given = self._options.registry
        if isinstance(given, ModelRegistry):
            self._shown_database = given.url
            return given.storage
        places = resolve_places(given, self._options.storage)
        self._database_url = places.database.render_as_string(hide_password=False)
        self._shown_database = places.shown_database_url
        storage = places.storage
        return storage_from_url(storage) if isinstance(storage, str) else storage

    def _registered_run(self) -> tuple[ModelRegistry, Run]:
        if self._registry is None:
            given = self._options.registry
            self._registry = (
                given
                if isinstance(given, ModelRegistry)
                else ModelRegistry(self._database_url, self._storage)
            )
        if self._run is None:
            self._run = self._registry.start_run(self.provenance)
        return self._registry, self._run

    def _manager(self) -> CheckpointManager:
        if self._checkpoints is None:
            folder = new_run_folder(self._storage, self.provenance.name)
            self._checkpoints = CheckpointManager(self._storage, folder)
        return self._checkpoints

    def _metadata(self, weights: Weights) -> VersionMetadata:
        return VersionMetadata(
            architecture=self._options.architecture,
            framework=self._options.framework_of(weights),
            tags=dict(self._options.tags or {}),
            description=self._options.description,
            created_by="RegistryStrategy",
        )

    def _tell_left_out(self, attributes: Sequence[str]) -> None:
        if attributes and not self._left_out_is_known:
            self._left_out_is_known = True
            log_left_out(attributes)


def _stored(version: ModelVersion) -> StoredObject:
    return StoredObject(version.storage_path, version.file_size_bytes, version.checksum)
