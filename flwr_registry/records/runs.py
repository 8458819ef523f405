"""Runs, their rounds, and what each node gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from flwr_registry.masking import masked_settings

__all__ = [
    "Contribution",
    "ContributionStatus",
    "Round",
    "RoundFacts",
    "RoundStatus",
    "Run",
    "RunProvenance",
]


class RoundStatus(StrEnum):
    """What became of a round's aggregate."""

    REGISTERED = "registered"
    REJECTED = "rejected"
    NO_RESULT = "no_result"


class ContributionStatus(StrEnum):
    """What became of one node's part in a round."""

    OK = "ok"
    ERROR = "error"
    NO_REPLY = "no_reply"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One node's part in one round: what it gave, or how it failed.

    Attributes
    ----------
    node_id : str
        Flower's node id as text: half of them exceed a signed 64-bit integer.
    status : ContributionStatus
        Whether it answered with content, with an error, or not at all.
    num_examples : float or None
        The value the strategy weights by.
    weight_share : float or None
        `num_examples` over the sum of all nodes that answered.
    metrics : mapping
        The node's own metrics.
    error_code : int or None
        Flower's error code.
    error_reason : str
        Why it failed, empty when it did not.
    """

    node_id: str
    status: ContributionStatus = ContributionStatus.OK
    num_examples: float | None = None
    weight_share: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error_code: int | None = None
    error_reason: str = ""


@dataclass(frozen=True, slots=True)
class RunProvenance:
    """What is known of a run when it starts.

    Attributes
    ----------
    name : str
        The experiment's own name; a resumed run has the name of the one it continues.
    model : str
        The model whose versions the run writes.
    flwr_run_id : str
        Flower's run id as text, empty outside a Flower run.
    app_id, app_version, app_hash, federation : str
        The Flower app and the federation that it runs in.
    strategy : str
        Qualified class name of the wrapped strategy.
    strategy_config, run_config : mapping
        The strategy's own parameters and the app's run configuration, without secrets:
        these are masked before anything can be written.
    versions : mapping
        Versions of flwr, flwr_registry, numpy and python.
    """

    name: str
    model: str
    flwr_run_id: str = ""
    app_id: str = ""
    app_version: str = ""
    app_hash: str = ""
    federation: str = ""
    strategy: str = ""
    strategy_config: Mapping[str, Any] = field(default_factory=dict)
    run_config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("strategy_config", "run_config"):
            object.__setattr__(self, name, masked_settings(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Run:
    """A registered run: its row id and its provenance.

    Attributes
    ----------
    start_number : int or None
        Which start of its name it is, when a lease was taken for it: it may write only
        while no later one has begun.
    imported : bool
        It was started in another registry: bundles brought its rounds.
    """

    id: int
    provenance: RunProvenance
    started_at: datetime
    start_number: int | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """What one server round did, whatever became of its model.

    Attributes
    ----------
    server_round : int
        Counted from 1 over the whole life of the run.
    train_metrics : mapping
        What the strategy aggregated beside the model.
    contributions : sequence of Contribution
        One for each node that was chosen.
    duration_seconds : float or None
        From the choice of the nodes to the aggregate.
    """

    server_round: int
    train_metrics: Mapping[str, Any] = field(default_factory=dict)
    contributions: Sequence[Contribution] = ()
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A registered round.

    Attributes
    ----------
    metrics : mapping
        `MetricSource` value to that source's metrics.
    errors : tuple of str
        Why the round's model was rejected.
    version : str or None
        The version it produced.
    measured_version : str or None
        The version whose weights its evaluation metrics measure: the round's own, or an
        earlier one when the round gave no model.
    """

    id: int
    run_id: int
    server_round: int
    status: RoundStatus
    metrics: Mapping[str, Mapping[str, Any]]
    errors: tuple[str, ...]
    version: str | None
    measured_version: str | None
    contributions: tuple[Contribution, ...]
    duration_seconds: float | None
    created_at: datetime
