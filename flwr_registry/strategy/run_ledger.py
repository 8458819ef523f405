"""One run's place in the database and in the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    CheckpointScheduler,
    EveryNRounds,
    FinishedRound,
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
    VersionMetadata,
)
from flwr_registry.registry import ModelRegistry, NodeNames, resolve_places
from flwr_registry.storage import StorageBackend, storage_from_url
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.resume_point import ResumePoint, find_resume_point
from flwr_registry.strategy.round_log import log_left_out, log_places, log_resume
from flwr_registry.strategy.run_history import (
    CurrentModel,
    RunHistory,
    stored_weights_of,
)
from flwr_registry.strategy.strategy_port import StrategyPort
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
    port : StrategyPort
        The strategy, for its state.

    Attributes
    ----------
    storage : StorageBackend
        Where bytes are written.
    """

    def __init__(
        self,
        options: RegistryOptions,
        provenance: RunProvenance,
        port: StrategyPort,
    ) -> None:
        self.provenance = provenance
        self._options = options
        self._port = port
        self.storage = self._place_storage()
        self._resumed: ResumePoint | None = None
        self._scheduler: CheckpointScheduler = EveryNRounds(options.checkpoint_every)
        self._checkpoints: CheckpointManager | None = None
        self._registry: ModelRegistry | None = None
        self._run: Run | None = None
        self._left_out_is_known = False

    def find_resume_point(self) -> ResumePoint | None:
        """Find the checkpoint to go on from, in storage alone.

        Raises
        ------
        ResumeError, CheckpointError, StorageError
            As the function of this name does.
        """
        self._resumed = find_resume_point(
            self.storage, self._options.run, self._options.resume
        )
        return self._resumed

    def open(self) -> ModelVersion | None:
        """Open storage and database and say where they are.

        Returns
        -------
        ModelVersion or None
            The version that a resumed run goes on from.

        Raises
        ------
        RegistryError
            When either cannot be opened.
        """
        log_places(self.provenance, self._shown_database, self.storage.url)
        if self._resumed is not None:
            log_resume(self._resumed, self.provenance)
        registry, _ = self._registered_run()
        number = self._resumed_version
        if number is None:
            return None
        return registry.get(f"{self.provenance.model}:{number}")

    @property
    def _resumed_version(self) -> str | None:
        return self._resumed.checkpoint.content.version if self._resumed else None

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
            parent=parent.version if parent else self._resumed_version,
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
        model: CurrentModel,
        history: RunHistory,
        reference: Architecture | None,
    ) -> None:
        """Write the checkpoint of a round, when one is due.

        Parameters
        ----------
        model : CurrentModel
            What training goes on with; a version's bytes are not written again.
        """
        version = model.version
        weights = stored_weights_of(version) if version else model.weights
        if weights is None or not self._scheduler.due(server_round):
            return
        state = self._port.export_state()
        self._tell_left_out(state.left_out)
        self._manager().save(
            CheckpointContent(
                server_round=server_round,
                model=self.provenance.model,
                version=version.version if version else None,
                weights=weights,
                tensor_type=model.tensor_type,
                state=state.tree,
                state_arrays=state.arrays,
                metrics=history.metrics,
                rounds=self._named(history.rounds),
                random_state=capture_random_state(),
                strategy=self._port.class_chain,
                fingerprint=reference.fingerprint if reference else "",
                provenance=self.provenance,
                metadata=self._metadata(None),
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
                else ModelRegistry(self._database_url, self.storage)
            )
        if self._run is None:
            self._run = self._started_run(self._registry)
        return self._registry, self._run

    def _started_run(self, registry: ModelRegistry) -> Run:
        if self._resumed is None:
            return registry.start_run(self.provenance)
        content = self._resumed.checkpoint.content
        return registry.resume_run(self.provenance, content)

    def _manager(self) -> CheckpointManager:
        if self._checkpoints is None:
            self._checkpoints = self._placed_checkpoints()
        return self._checkpoints

    def _placed_checkpoints(self) -> CheckpointManager:
        """Go on in the folder of the resumed start, else open a new one."""
        point = self._resumed
        if point is not None and not point.branches:
            return CheckpointManager(self.storage, point.folder)
        folder = new_run_folder(self.storage, self.provenance.name)
        manager = CheckpointManager(self.storage, folder)
        if point is not None:
            # A crash before its first own checkpoint must not lead back to the line
            # that was left.
            manager.save(point.checkpoint.content)
        return manager

    def _named(
        self, rounds: Mapping[int, FinishedRound]
    ) -> Mapping[int, FinishedRound]:
        """Give the nodes the names under which the registry knows them."""
        given = self._options.registry
        names = (
            given.node_names
            if isinstance(given, ModelRegistry)
            else NodeNames.with_key(None)
        )
        return {
            number: replace(
                finished, contributions=names.contributions(finished.contributions)
            )
            for number, finished in rounds.items()
        }

    def _metadata(self, weights: Weights | None) -> VersionMetadata:
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
