"""One run's place in the database and in the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from flwr_registry.checkpointing import CheckpointContent, FinishedRound
from flwr_registry.errors import (
    DatabaseError,
    ModelNotFoundError,
    StorageError,
    ValidationError,
)
from flwr_registry.records import (
    DriftFinding,
    Lease,
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry import (
    ModelRegistry,
    resolve_places,
)
from flwr_registry.storage import StorageBackend, bounded_storage, storage_from_url
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.resume.resume_checks import check_initial
from flwr_registry.strategy.resume.resume_point import ResumePoint, find_resume_point
from flwr_registry.strategy.round_log import (
    log_other_bump,
    log_places,
    log_resume,
)
from flwr_registry.strategy.run_hold import RunHold
from flwr_registry.validation import MetricRanges
from flwr_registry.weights import Weights

__all__ = ["RunLedger"]


class RunLedger:
    """Writes what a run gives into the database: versions, rounds, metrics.

    The database is opened when it is first needed and tried again after a failure; the
    storage works without it.

    Parameters
    ----------
    options : RegistryOptions
        Where to write, and what to say of each version.
    provenance : RunProvenance
        Of the run.

    Attributes
    ----------
    storage : StorageBackend
        Where bytes are written.
    database : str
        Where the database is, without its password.
    resumed : ResumePoint or None
        Where the run goes on from, without its bytes.
    hold : RunHold
        What keeps other starts of the run from writing.
    """

    def __init__(
        self,
        options: RegistryOptions,
        provenance: RunProvenance,
    ) -> None:
        self.provenance = provenance
        self._options = options
        self.storage = self._place_storage()
        self.resumed: ResumePoint | None = None
        self._registry: ModelRegistry | None = None
        self._run: Run | None = None
        self._has_registered = False
        self.hold = RunHold(
            provenance.name, self.storage, self._known_registry, options.lease_seconds
        )

    def find_resume_point(self) -> ResumePoint | None:
        """Find the checkpoint to go on from, in storage alone.

        The database is asked only where another one wrote the checkpoint.

        Raises
        ------
        ResumeError, CheckpointError, StorageError, DatabaseError
            As the function of this name does.
        """
        point = find_resume_point(
            self.storage,
            self._options.run,
            self._options.resume,
            is_ours=self._is_ours,
            cipher=self._options.state_cipher,
        )
        self.resumed = point.without_bytes() if point is not None else None
        return point

    def tell_places(self) -> None:
        """Log where storage and database are, and where the run goes on from."""
        log_places(self.provenance, self.database, self.storage.url)
        if self.resumed is not None:
            log_resume(self.resumed, self.provenance)

    def probe_storage(self) -> None:
        """Ask the storage for something that costs little."""
        next(iter(self.storage.list(f"checkpoints/{self.provenance.name}")), None)

    def probe_database(self) -> None:
        """Ask the database for something that costs little.

        It may take for ever, beside whatever else is done with this ledger.
        """
        given = self._options.registry
        known = given if isinstance(given, ModelRegistry) else self._registry
        if known is not None:
            known.models()
            return
        with self._new_registry() as registry:
            registry.models()

    def open_database(self) -> None:
        """Open the database, without writing anything about the run.

        Raises
        ------
        RegistryError
            When it cannot be opened.
        """
        self._opened_registry()

    def open(self) -> ModelVersion | None:
        """Open the database and record that the run starts.

        Returns
        -------
        ModelVersion or None
            The version that a resumed run goes on from.

        Raises
        ------
        RegistryError
            When it cannot be opened.
        """
        return self._resumed_version()

    def _resumed_version(self) -> ModelVersion | None:
        registry, _ = self._registered_run()
        if self.resumed is None:
            return None
        return registry.find_checkpointed(self.resumed.checkpoint.content)

    def _is_ours(self, content: CheckpointContent) -> bool:
        """Tell whether a checkpoint is of this registry.

        One that was moved, or that took over the versions of a lost one, knows the
        checkpoint's weights by their digest. One that holds nothing takes the place of
        a lost one where the user insists: it may as well be a second one beside it.
        """
        if content.registry in ("", self.database):
            return True
        registry = self._opened_registry()
        if registry.find_checkpointed(content) is not None:
            return True
        return self._options.resume is True and not registry.list(limit=1)

    def check_storage(self) -> None:
        """Refuse a commit to a storage that is another registry's, or start's.

        Raises
        ------
        StorageOwnerError
            When another registry has it.
        FencedError, RunHeldError, RegistryError
            As the check of `hold` does.
        """
        if self._registry is not None and self._run is not None:
            # It works without a database.
            with suppress(DatabaseError):
                self._registry.claim_storage()
        self.hold.check_storage()

    def refuse(self) -> None:
        """Let go of the run, since this start of it must not begin."""
        if self._run is None:
            self.hold.withdraw()
        else:
            self.hold.release()

    def close(self) -> None:
        """Close the database, unless the user brought it."""
        if self._registry is not None and self._registry is not self._options.registry:
            self._registry.close()
        self._registry = None

    def initial_version(self) -> ModelVersion:
        """Find the version that training starts from, by the user's option.

        Raises
        ------
        InvalidStateError
            When it failed validation, is withdrawn, or has no bytes.
        RegistryError
            When it is unknown, or of another model.
        """
        registry, _ = self._registered_run()
        version = registry.get(str(self._options.initial))
        check_initial(version, self.provenance.model)
        return version

    def register(
        self,
        weights: Weights,
        facts: RoundFacts,
        *,
        parent: ModelVersion | None,
        errors: Sequence[str],
        privacy: tuple[float, float] | None,
        updates: Mapping[str, float],
    ) -> ModelVersion:
        """Store a round's model and register it as a version.

        Another architecture than the user's bump allows is registered by its own.

        Parameters
        ----------
        parent : ModelVersion or None
            What the round was trained from; None for the run's newest version, if any.
        updates : mapping of str to float
            What the round's update was like.
        """
        registry, run = self._registered_run()
        if parent is None and not self._has_registered:
            parent = self._resumed_version()
        register = partial(
            registry.register,
            weights,
            model=self.provenance.model,
            run=run,
            facts=facts,
            parent=parent.version if parent else None,
            errors=errors,
            metrics={MetricSource.AGGREGATE.value: updates} if updates else None,
            metadata=self.metadata(weights),
            privacy=privacy,
            metric_ranges=self._metric_ranges,
        )
        bump = self._options.bump if not errors else None
        with self.hold.writing():
            try:
                version = register(bump=bump)
            except ValidationError as error:
                # A bump that does not fit is the only thing that the registry validates
                # here; the version must not be lost for it.
                version = register(bump=None)
                log_other_bump(version, bump, error)
        self._has_registered = True
        return version

    def record_round(
        self, facts: RoundFacts, status: RoundStatus, measured: ModelVersion | None
    ) -> None:
        """Register a round that gave no version."""
        registry, run = self._registered_run()
        with self.hold.writing():
            registry.record_round(run, facts, status, measured=measured)

    def record_metrics(
        self,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        measured: ModelVersion | None,
    ) -> ModelVersion | None:
        """Attach metrics to the round, and to the version that they measured.

        Returns
        -------
        ModelVersion or None
            The version as it stands now.
        """
        registry, run = self._registered_run()
        with self.hold.writing():
            return registry.record_metrics(
                run,
                server_round,
                source,
                metrics,
                measured=measured,
                metric_ranges=self._metric_ranges,
            )

    @property
    def _metric_ranges(self) -> MetricRanges | None:
        validator = self._options.validator
        return validator.metric_ranges if validator is not None else None

    def version(self, finished: FinishedRound) -> ModelVersion:
        """Find the version that a round of the run made, by its digest.

        Raises
        ------
        ModelNotFoundError
            When the registry does not have it.
        """
        model, digest = (
            self.provenance.model,
            finished.weights and finished.weights.sha256,
        )
        for each in self.registry.list(model, run=self.provenance.name):
            if each.checksum == digest:
                return each
        reference = f"{model}:{finished.version}"
        raise ModelNotFoundError(
            f"no version of run {self.provenance.name} has the weights that it "
            f"registered as {reference}",
            reference=reference,
        )

    @property
    def registry(self) -> ModelRegistry:
        """The registry, opened, with the run in it, while no newer start has it."""
        registry, _ = self._registered_run()
        self.hold.check_database()
        return registry

    def record_drift(
        self, findings: Sequence[DriftFinding], version: ModelVersion | None
    ) -> None:
        """Keep findings of drift."""
        registry, run = self._registered_run()
        model = self.provenance.model
        with self.hold.writing():
            registry.record_drift(model, findings, version=version, run=run)

    def _place_storage(self) -> StorageBackend:
        given = self._options.registry
        if isinstance(given, ModelRegistry):
            self.database = given.url
            return given.storage
        in_app = bool(self._options.run_config)
        places = resolve_places(given, self._options.storage, in_app=in_app)
        self._database_url = places.database.render_as_string(hide_password=False)
        self.database = places.shown_database_url
        storage = places.storage
        seconds = self._options.timeout_seconds
        if isinstance(storage, str):
            return storage_from_url(storage, seconds)
        return bounded_storage(storage, seconds)

    def _opened_registry(self) -> ModelRegistry:
        if self._registry is None:
            given = self._options.registry
            self._registry = (
                given if isinstance(given, ModelRegistry) else self._new_registry()
            )
        return self._registry

    def _known_registry(self) -> ModelRegistry:
        if self._registry is None:
            raise DatabaseError(f"the database {self.database} is not open")
        return self._registry

    def _registered_run(self) -> tuple[ModelRegistry, Run]:
        registry = self._opened_registry()
        if self._run is None:
            with self.hold.writing() as lease:
                self._run = self._started_run(registry, lease)
        return registry, self._run

    def _new_registry(self) -> ModelRegistry:
        return ModelRegistry(
            self._database_url,
            self.storage,
            timeout_seconds=self._options.timeout_seconds,
        )

    def _started_run(self, registry: ModelRegistry, lease: Lease) -> Run:
        if self.hold.storage_answered:
            # Where it does not, whatever is written there later looks first.
            with suppress(StorageError):
                registry.claim_storage()
        if self.resumed is None:
            # Asked to go on, it found no checkpoint: all rounds are trained again.
            again = self._options.resume is not False
            return registry.start_run(self.provenance, again=again, lease=lease)
        content = self.resumed.checkpoint.content
        return registry.resume_run(self.provenance, content, lease=lease)

    def metadata(self, weights: Weights | None) -> VersionMetadata:
        """Return what is said of each version."""
        return VersionMetadata(
            architecture=self._options.architecture,
            framework=self._options.framework_of(weights),
            model_config=dict(self._options.model_config or {}),
            tags=dict(self._options.tags or {}),
            description=self._options.description,
            created_by="RegistryStrategy",
        )
