"""Keeping and asking for what drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flwr_registry.records import DriftFinding, ModelVersion, RecordedDrift, Run
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.drift import judging, recorded_drift
from flwr_registry.registry.steps import Steps, read, write
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.validation import DriftDetector, TensorReference

__all__ = ["AsyncDriftVerbs", "DriftVerbs"]

Baseline = Mapping[str, TensorReference]


class DriftVerbs(BlockingRegistry):
    """The verbs about drift."""

    def drift(
        self, reference: str, *, detector: DriftDetector | None = None
    ) -> list[DriftFinding]:
        """Judge the run of a version or model, and the model's production versions.

        Parameters
        ----------
        reference : str
            The version, or the model; see `run_to_watch`.
        detector : DriftDetector, optional
            What to watch, and how sharply.
        """
        return self._run(_judged(reference, detector))

    def run_to_watch(self, reference: str) -> Run | None:
        """Return the run that `drift` judges; None where there is none.

        It is the run that made the version. For a model as such, and for a version that
        no run made, it is the newest run of the model that has a round.
        """
        return self._run(_watched(reference))

    def drift_findings(
        self, model: str, *, limit: int | None = None
    ) -> list[RecordedDrift]:
        """List what was found while training and serving, newest first."""
        return self._run(
            read(lambda session: recorded_drift.list_findings(session, model, limit))
        )

    def record_drift(
        self,
        model: str,
        findings: Sequence[DriftFinding],
        *,
        version: ModelVersion | None = None,
        run: Run | None = None,
    ) -> list[RecordedDrift]:
        """Keep findings.

        Parameters
        ----------
        version, run : optional
            What they are about.
        """
        return self._run(
            write(
                lambda s: recorded_drift.add_findings(s, model, findings, version, run)
            )
        )

    def set_drift_baseline(
        self, reference: str, baseline: Baseline, *, actor: str | None = None
    ) -> ModelVersion:
        """Say how the inputs and outputs of a version are spread when all is well.

        Parameters
        ----------
        baseline : mapping of str to TensorReference
            By ``input:NAME`` and ``output:NAME``; see `Predictor.baseline`.
        """
        return self._run(_based(reference, baseline, current_actor(actor)))

    def drift_baseline(self, reference: str) -> dict[str, TensorReference]:
        """Return what was said so; empty when nothing was."""
        return self._run(_baseline(reference))


class AsyncDriftVerbs(AwaitedRegistry):
    """The verbs of `DriftVerbs`, awaited."""

    async def drift(
        self, reference: str, *, detector: DriftDetector | None = None
    ) -> list[DriftFinding]:
        """Judge a run and production; see `ModelRegistry.drift`."""
        return await self._run(_judged(reference, detector))

    async def run_to_watch(self, reference: str) -> Run | None:
        """Return the run that `drift` judges; see `ModelRegistry.run_to_watch`."""
        return await self._run(_watched(reference))

    async def drift_findings(
        self, model: str, *, limit: int | None = None
    ) -> list[RecordedDrift]:
        """List what was found; see `ModelRegistry.drift_findings`."""
        return await self._run(
            read(lambda session: recorded_drift.list_findings(session, model, limit))
        )

    async def record_drift(
        self,
        model: str,
        findings: Sequence[DriftFinding],
        *,
        version: ModelVersion | None = None,
        run: Run | None = None,
    ) -> list[RecordedDrift]:
        """Keep findings; see `ModelRegistry.record_drift`."""
        return await self._run(
            write(
                lambda s: recorded_drift.add_findings(s, model, findings, version, run)
            )
        )

    async def set_drift_baseline(
        self, reference: str, baseline: Baseline, *, actor: str | None = None
    ) -> ModelVersion:
        """Say how values are spread; see `ModelRegistry.set_drift_baseline`."""
        return await self._run(_based(reference, baseline, current_actor(actor)))

    async def drift_baseline(self, reference: str) -> dict[str, TensorReference]:
        """Return what was said so; see `ModelRegistry.drift_baseline`."""
        return await self._run(_baseline(reference))


def _judged(
    reference: str, detector: DriftDetector | None
) -> Steps[list[DriftFinding]]:
    found, chosen = parse_reference(reference), detector or DriftDetector()
    return read(lambda session: judging.judge(session, found, chosen))


def _watched(reference: str) -> Steps[Run | None]:
    found = parse_reference(reference)
    return read(lambda session: judging.find_run(session, found))


def _based(reference: str, baseline: Baseline, actor: str) -> Steps[ModelVersion]:
    found = parse_reference(reference)
    content: dict[str, Any] = {name: each.to_json() for name, each in baseline.items()}
    return write(lambda s: recorded_drift.set_baseline(s, found, content, actor))


def _baseline(reference: str) -> Steps[dict[str, TensorReference]]:
    found = parse_reference(reference)
    content = yield from read(lambda s: recorded_drift.find_baseline(s, found))
    return {
        name: TensorReference.from_json(each) for name, each in (content or {}).items()
    }
