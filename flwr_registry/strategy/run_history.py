"""What a run has given so far, as its checkpoints keep it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from flwr_registry.checkpointing import (
    CheckpointContent,
    FinishedRound,
    trusted_metrics,
)
from flwr_registry.records import (
    MetricSource,
    ModelVersion,
    RoundFacts,
    RoundStatus,
    VersionStatus,
)
from flwr_registry.strategy.aggregate import Buffers
from flwr_registry.weights import Weights

__all__ = [
    "CurrentModel",
    "MetricsHistory",
    "RoundVersion",
    "RunHistory",
]


@dataclass(slots=True)
class RoundVersion:
    """What a model becomes once the writer has come to it.

    Attributes
    ----------
    record : ModelVersion or None
        None before that, and for good when it could not be registered. Only the writer
        may look at it.
    """

    record: ModelVersion | None = None


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The model that training goes on with, and its version.

    Attributes
    ----------
    made_of_it : str
        What the server made of it before it sent it on; empty where that is itself.
    """

    buffers: Buffers = ()
    weights: Weights | None = None
    version: RoundVersion = field(default_factory=RoundVersion)
    tensor_type: str = ""
    made_of_it: str = ""


@dataclass(frozen=True, slots=True)
class MetricsHistory:
    """What the rounds so far measured.

    Attributes
    ----------
    returned : dict
        By `MetricSource` value, then by round, as the strategy's hook returned them.
    trusted : dict
        Of each round that is over, each name's number from the most trusted source.
    """

    returned: dict[str, dict[int, Any]] = field(
        default_factory=lambda: {source.value: {} for source in MetricSource}
    )
    trusted: dict[int, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, content: CheckpointContent) -> MetricsHistory:
        """Take the history of a checkpoint, to go on with."""
        history = cls()
        for source, measured in content.metrics.items():
            history.returned[source] = dict(measured)
        history.trusted.update(trusted_metrics(history.returned))
        return history

    def note(self, source: MetricSource, server_round: int, measured: Any) -> None:
        """Keep what a hook returned of a round, None included."""
        self.returned[source.value][server_round] = measured

    def end_round(self, server_round: int) -> dict[str, float]:
        """Return what a round measured, now that it is over."""
        of_round = {
            source: {server_round: measured[server_round]}
            for source, measured in self.returned.items()
            if server_round in measured
        }
        self.trusted.update(trusted_metrics(of_round))
        return self.trusted.get(server_round, {})

    def copy(self) -> dict[str, dict[int, Any]]:
        """Return what was returned up to this moment."""
        return {source: dict(measured) for source, measured in self.returned.items()}


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What became of the rounds so far.

    Attributes
    ----------
    rounds : dict
        By number.
    """

    rounds: dict[int, FinishedRound] = field(default_factory=dict)

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
            weights=version.stored if version else None,
            fingerprint=version.fingerprint if version else "",
            errors=version.validation_errors if version else (),
            contributions=tuple(facts.contributions),
            privacy=privacy,
        )

    def note_doubts(self, version: ModelVersion) -> None:
        """Keep that the version of a round fails for metrics that came after it."""
        number = version.server_round
        known = None if number is None else self.rounds.get(number)
        if number is None or known is None or known.version != version.version:
            return
        failed = version.status is VersionStatus.FAILED
        self.rounds[number] = replace(
            known,
            status=RoundStatus.REJECTED if failed else known.status,
            errors=version.validation_errors,
        )

    @property
    def versions(self) -> dict[int, str]:
        """Number of the version that each round made."""
        return {
            server_round: finished.version
            for server_round, finished in self.rounds.items()
            if finished.version is not None
        }
