"""Registering versions, and recording the runs and rounds that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import (
    Lease,
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.steps import read, write
from flwr_registry.registry.versions import resuming, run_recording
from flwr_registry.registry.versions.registering import register_source
from flwr_registry.registry.versions.told_versions import find_checkpointed
from flwr_registry.validation import MetricRanges
from flwr_registry.weights import Architecture

__all__ = ["AsyncRecordingVerbs", "RecordingVerbs"]


class RecordingVerbs(BlockingRegistry):
    """The verbs that add versions, runs and rounds."""

    def start_run(
        self,
        provenance: RunProvenance,
        *,
        again: bool = False,
        lease: Lease | None = None,
    ) -> Run:
        """Record that a run starts; each start is a run of its own.

        Parameters
        ----------
        again : bool
            It trains again what earlier starts of its name trained, since none left a
            checkpoint: what they registered is marked superseded.
        lease : Lease, optional
            What the start holds of the run. It may write then until a start with a
            higher number begins.

        Raises
        ------
        InvalidNameError
            When the run or its model has an impossible name.
        FencedError
            When one has begun; so do all verbs that write for the run.
        """
        start = resuming.start_run_again if again else run_recording.start_run
        return self._run(write(lambda session: start(session, provenance, lease)))

    def resume_run(
        self,
        provenance: RunProvenance,
        content: CheckpointContent,
        *,
        lease: Lease | None = None,
    ) -> Run:
        """Record that a run goes on from a checkpoint.

        Versions and rounds that the registry lacks are written from the checkpoint.
        What an earlier start trained after it is marked superseded. The lease is that
        of `start_run`.

        Raises
        ------
        InvalidNameError
            When the run or its model has an impossible name.
        ResumeError
            When versions that the checkpoint tells of have other digests here.
        FencedError
            When a newer start than that of the lease has begun.
        StorageOwnerError
            When the storage is another registry's.
        """
        return self._run(
            self._in_own_root(
                resuming.resume_run(self.storage, provenance, content, lease)
            )
        )

    def find_checkpointed(self, content: CheckpointContent) -> ModelVersion | None:
        """Find the version whose weights a checkpoint goes on from, by their digest.

        Returns
        -------
        ModelVersion or None
            None when it was never registered here; a number alone proves nothing.
        """
        return self._run(read(lambda s: find_checkpointed(s, content)))

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
        named = self._nodes.named(facts)
        self._run(
            write(
                lambda session: run_recording.record_round(
                    session, run, named, status, errors=errors, measured=measured
                )
            )
        )

    def record_metrics(
        self,
        run: Run,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        *,
        measured: ModelVersion | None,
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion | None:
        """Keep what was measured in a round, also with the version it was measured on.

        With metrics out of their range the version fails; one in production stays there
        with its errors, and fails as soon as it leaves.

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
        metric_ranges : mapping of str to (low, high), optional
            As for `register`.

        Returns
        -------
        ModelVersion or None
            The measured version as it stands now.
        """
        return self._run(
            write(
                lambda session: run_recording.save_metrics(
                    session,
                    run,
                    server_round,
                    source,
                    metrics,
                    measured=measured,
                    metric_ranges=metric_ranges,
                )
            )
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
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion:
        """Make weights a durable version: bytes first, row last.

        Repeated with the same bytes for the same `version`, or for the same round of
        the same run, it returns the version that is there.

        Parameters
        ----------
        weights : Weights, mapping of arrays or tensors, torch module, bytes or path
            Stored bit for bit. Of files, those of safetensors are stored as they are;
            torch state dicts, ``.npz`` archives and XGBoost's models are read.
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
            values of `MetricSource`. With a loss below 0, an accuracy outside [0, 1],
            or one that is not finite, the status is ``failed``, too.
        metadata : VersionMetadata, optional
            What the user says about the version.
        reference : Architecture, optional
            Where it has integers or narrower floats, those of the weights count as
            what arithmetic made of them.
        privacy : tuple of float, optional
            Epsilon and delta spent so far.
        metric_ranges : mapping of str to (low, high), optional
            Allowed values of metrics, as for `ModelValidator`; ``(None, None)`` allows
            any.

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
            When a minor or patch is wanted for another architecture, or weights that
            come from no round are unfit and `errors` does not say so.
        WeightsFormatError, OSError
            When a file cannot be read.
        StorageOwnerError
            When the storage is another registry's; nothing was written.
        StorageError, DatabaseError
            When saving failed; nothing half-written is visible.
        """
        return self._run(
            register_source(
                self._root,
                weights,
                reference,
                model=model,
                version=version,
                bump=bump,
                parent=parent,
                run=run,
                facts=self._named(facts),
                errors=errors,
                metrics=metrics,
                metadata=metadata,
                privacy=privacy,
                metric_ranges=metric_ranges,
            )
        )


class AsyncRecordingVerbs(AwaitedRegistry):
    """The verbs of `RecordingVerbs`, awaited."""

    async def start_run(
        self,
        provenance: RunProvenance,
        *,
        again: bool = False,
        lease: Lease | None = None,
    ) -> Run:
        """Record that a run starts; see `ModelRegistry.start_run`."""
        start = resuming.start_run_again if again else run_recording.start_run
        return await self._run(write(lambda session: start(session, provenance, lease)))

    async def resume_run(
        self,
        provenance: RunProvenance,
        content: CheckpointContent,
        *,
        lease: Lease | None = None,
    ) -> Run:
        """Record that a run goes on; see `ModelRegistry.resume_run`."""
        return await self._run(
            self._in_own_root(
                resuming.resume_run(self.storage, provenance, content, lease)
            )
        )

    async def find_checkpointed(
        self, content: CheckpointContent
    ) -> ModelVersion | None:
        """Find a checkpoint's version; see `ModelRegistry.find_checkpointed`."""
        return await self._run(read(lambda s: find_checkpointed(s, content)))

    async def record_round(
        self,
        run: Run,
        facts: RoundFacts,
        status: RoundStatus,
        *,
        errors: Sequence[str] = (),
        measured: ModelVersion | None = None,
    ) -> None:
        """Record a round that made no version; see `ModelRegistry.record_round`."""
        named = self._nodes.named(facts)
        await self._run(
            write(
                lambda session: run_recording.record_round(
                    session, run, named, status, errors=errors, measured=measured
                )
            )
        )

    async def record_metrics(
        self,
        run: Run,
        server_round: int,
        source: MetricSource,
        metrics: Mapping[str, Any],
        *,
        measured: ModelVersion | None,
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion | None:
        """Keep what was measured in a round; see `ModelRegistry.record_metrics`."""
        return await self._run(
            write(
                lambda session: run_recording.save_metrics(
                    session,
                    run,
                    server_round,
                    source,
                    metrics,
                    measured=measured,
                    metric_ranges=metric_ranges,
                )
            )
        )

    async def register(
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
        metric_ranges: MetricRanges | None = None,
    ) -> ModelVersion:
        """Make weights a durable version; see `ModelRegistry.register`."""
        return await self._run(
            register_source(
                self._root,
                weights,
                reference,
                model=model,
                version=version,
                bump=bump,
                parent=parent,
                run=run,
                facts=self._named(facts),
                errors=errors,
                metrics=metrics,
                metadata=metadata,
                privacy=privacy,
                metric_ranges=metric_ranges,
            )
        )
