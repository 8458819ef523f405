"""What a run has given so far, as its checkpoints keep it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flwr_registry.checkpointing import CheckpointContent, FinishedRound
from flwr_registry.records import (
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    StoredObject,
    VersionStatus,
)
from flwr_registry.strategy.aggregate import Buffers
from flwr_registry.weights import Weights

__all__ = ["CurrentModel", "RunHistory", "stored_weights_of"]


def stored_weights_of(version: ModelVersion) -> StoredObject:
    """Return where the weights of a version lie."""
    return StoredObject(version.storage_path, version.file_size_bytes, version.checksum)


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The model that training goes on with, and its version if it has one."""

    buffers: Buffers = ()
    weights: Weights | None = None
    version: ModelVersion | None = None
    tensor_type: str = ""


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What the rounds that are done gave.

    Attributes
    ----------
    metrics : mapping
        By `MetricSource` value, then by round, as the strategy's hook returned them.
    rounds : mapping
        What became of each round.
    """

    metrics: dict[str, dict[int, Any]] = field(
        default_factory=lambda: {source.value: {} for source in MetricSource}
    )
    rounds: dict[int, FinishedRound] = field(default_factory=dict)

    @classmethod
    def of(cls, content: CheckpointContent) -> RunHistory:
        """Take the history of a checkpoint, to go on with."""
        history = cls()
        for source, measured in content.metrics.items():
            history.metrics[source] = dict(measured)
        history.rounds.update(content.rounds)
        return history

    def note_metrics(
        self, source: MetricSource, server_round: int, measured: Any
    ) -> None:
        """Keep what a hook returned of a round, None included."""
        self.metrics[source.value][server_round] = measured

    def note_round(
        self,
        facts: RoundFacts,
        version: ModelVersion | None,
        *,
        gave_model: bool,
        privacy: tuple[float, float] | None,
    ) -> None:
        """Keep what became of a round's aggregate."""
        status = RoundStatus.NO_RESULT
        if version is not None:
            failed = version.status is VersionStatus.FAILED
            status = RoundStatus.REJECTED if failed else RoundStatus.REGISTERED
        self.rounds[facts.server_round] = FinishedRound(
            gave_model=gave_model,
            status=status,
            version=version.version if version else None,
            parent=version.parent_version if version else None,
            weights=stored_weights_of(version) if version else None,
            fingerprint=version.fingerprint if version else "",
            errors=version.validation_errors if version else (),
            contributions=tuple(facts.contributions),
            privacy=privacy,
        )

    def copy(self) -> RunHistory:
        """Return the history of this moment."""
        metrics = {source: dict(measured) for source, measured in self.metrics.items()}
        return RunHistory(metrics, dict(self.rounds))

    @property
    def versions(self) -> dict[int, str]:
        """Number of the version that each round made."""
        return {
            server_round: finished.version
            for server_round, finished in self.rounds.items()
            if finished.version is not None
        }
