"""A model that is served: its version, the requests that wait, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import HTTPException

from flwr_registry.errors import RegistryError
from flwr_registry.records import DriftFinding, ModelVersion
from flwr_registry.registry import ModelRegistry, parse_reference
from flwr_registry.serving.drift_monitor import DriftMonitor
from flwr_registry.serving.input_schema import NamedArrays
from flwr_registry.serving.micro_batcher import MicroBatcher, Prediction
from flwr_registry.serving.predictor import Predictor, production_reference
from flwr_registry.serving.server_metrics import ServerMetrics
from flwr_registry.serving.server_options import ServerOptions
from flwr_registry.serving.version_follower import VersionFollower
from flwr_registry.serving.version_trial import trial_of
from flwr_registry.shown_text import OneLineLogger

__all__ = ["ServedModel"]

_LOGGER = OneLineLogger("flwr_registry")
# A baseline is set seldom, and reading it costs more than a poll does.
_BASELINE_SECONDS = 60.0


class ServedModel:
    """What the routes of a server speak about.

    Parameters
    ----------
    registry : ModelRegistry
        Where versions are looked up.
    reference : str
        What to serve.
    load : callable
        Makes a `Predictor` of a reference to a single version.

    Attributes
    ----------
    name : str
        Of the model.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        reference: str,
        load: Callable[[str], Predictor],
        options: ServerOptions,
    ) -> None:
        followed = production_reference(reference)
        self.name = parse_reference(followed).model
        self.options = options
        self.metrics = ServerMetrics()
        self._registry = registry
        self._monitor: DriftMonitor | None = None
        self._unwatched_id: int | None = None
        self._baseline_read = 0.0
        self.follower = VersionFollower(
            registry,
            followed,
            load,
            trial=trial_of(load, options),
            poll_seconds=options.poll_seconds,
            stall_seconds=options.load_timeout_seconds,
            on_load=self._note_load,
            on_poll=self._review_drift,
        )
        self.batcher = MicroBatcher(
            lambda: self.follower.current,
            self._observe,
            max_delay_seconds=options.max_delay_seconds,
            max_batch_rows=options.max_batch_rows,
            max_queued=options.max_queued,
        )

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Follow and predict within the block; requests under way are answered."""
        self.batcher.start()
        try:
            if self.follower.current is None:
                await asyncio.to_thread(self.follower.refresh)
            self.follower.start()
            yield
        finally:
            await self.batcher.stop(self.options.shutdown_seconds)
            await asyncio.to_thread(self.follower.stop)

    def served(self, name: str, version: str | None) -> Predictor:
        """Return what is served, if that is what is asked for.

        Raises
        ------
        HTTPException
            404 for another model or version, 503 when nothing is served.
        """
        current = self.follower.current
        if name != self.name:
            raise HTTPException(404, f"served is {self.name}, not the model asked for")
        if current is None:
            raise HTTPException(503, self.follower.problem, {"Retry-After": "5"})
        _require_version(current, version)
        return current

    async def predict(self, inputs: NamedArrays, version: str | None) -> Prediction:
        """Predict with the version that is served when the request's turn comes.

        Raises
        ------
        HTTPException
            404 when that is no longer the one asked for.
        PredictionError
            As `MicroBatcher.predict` does.
        """
        made = await self.batcher.predict(inputs)
        _require_version(made.predictor, version)
        return made

    def exposed_metrics(self) -> bytes:
        """Return what Prometheus asks for."""
        return self.metrics.exposed(
            degraded=bool(self.follower.problem),
            num_queued=self.batcher.num_queued,
            drift=self._monitor.distances() if self._monitor else {},
        )

    def _note_load(self, version: ModelVersion, succeeded: bool) -> None:
        if version.id != self._unwatched_id:
            self.metrics.note_load(version, succeeded)
        if succeeded:
            # Told again after a failure here, the load is not counted again.
            self._unwatched_id = version.id
            self._monitor = None
            self._watch_drift(version)
            self._unwatched_id = None

    def _watch_drift(self, version: ModelVersion) -> None:
        """Hold what a version is asked against the baseline that it has now."""
        self._baseline_read = time.monotonic()
        baseline = self._registry.drift_baseline(version.reference)
        if self._monitor is None or not self._monitor.watches(version, baseline):
            self._monitor = DriftMonitor(version, baseline, self._record_drift)

    def _review_drift(self) -> None:
        if self._monitor is None:
            return
        try:
            # It may have been set, or set anew, since the version is served.
            if time.monotonic() - self._baseline_read >= _BASELINE_SECONDS:
                self._watch_drift(self._monitor.version)
        except RegistryError:
            # The follower tells of a registry that cannot be asked.
            return
        self._monitor.review()

    def _record_drift(
        self, version: ModelVersion, findings: Sequence[DriftFinding]
    ) -> None:
        try:
            self._registry.record_drift(version.model, findings, version=version)
        except RegistryError as error:
            # It is in the log and in the metrics all the same.
            _LOGGER.warning("registry: what drifts could not be recorded: %s", error)

    def _observe(
        self, predictor: Predictor, inputs: NamedArrays, outputs: NamedArrays
    ) -> None:
        rows = len(next(iter(inputs.values())))
        self.metrics.note_batch(predictor.version, rows)
        monitor = self._monitor
        if monitor is None or monitor.version.id != predictor.version.id:
            return
        try:
            monitor.observe(inputs, outputs)
        except Exception:
            # A prediction is not to fail for its statistics.
            _LOGGER.exception("registry: inputs could not be counted")


def _require_version(current: Predictor, version: str | None) -> None:
    served = current.version.version
    if version not in (None, served):
        raise HTTPException(404, f"served is version {served}, not the one asked for")
