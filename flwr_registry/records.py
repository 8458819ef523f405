"""The frozen facts that every floor speaks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from flwr_registry.errors import InvalidNameError

__all__ = [
    "Contribution",
    "ContributionStatus",
    "Lineage",
    "MetricSource",
    "ModelVersion",
    "Round",
    "RoundFacts",
    "RoundStatus",
    "Run",
    "RunProvenance",
    "StoredObject",
    "VersionMetadata",
    "VersionStatus",
    "check_name",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(name: str, kind: str) -> str:
    """Return `name` when it may name a model, a run or an alias.

    Parameters
    ----------
    name : str
        One to 128 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit. Names become
        parts of storage keys, so no other character is ever let through.
    kind : str
        What is named, for the message.

    Raises
    ------
    InvalidNameError
        When the name breaks the pattern.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise InvalidNameError(
            f"{name!r} cannot name a {kind}: use 1 to 128 letters, digits, '.', '_' or "
            "'-', starting with a letter or digit, without '..'"
        )
    return name


class VersionStatus(StrEnum):
    """Where a version stands."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    ARCHIVED = "archived"
    FAILED = "failed"


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


class MetricSource(StrEnum):
    """Who measured a metric, in the words of Flower's ``Result``."""

    TRAIN_CLIENTAPP = "train_clientapp"
    EVALUATE_CLIENTAPP = "evaluate_clientapp"
    EVALUATE_SERVERAPP = "evaluate_serverapp"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes under a key: what a storage returns once they are durable.

    Attributes
    ----------
    key : str
        Relative to the root of the storage.
    size_bytes : int
        Length of the object.
    sha256 : str
        Hexadecimal digest of the whole object, as ``sha256sum`` prints it.
    """

    key: str
    size_bytes: int
    sha256: str


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
        The strategy's own parameters and the app's run configuration.
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


@dataclass(frozen=True, slots=True)
class Run:
    """A registered run: its row id and its provenance."""

    id: int
    provenance: RunProvenance
    started_at: datetime


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


@dataclass(frozen=True, slots=True)
class VersionMetadata:
    """What a user may say about a version; it can set no governed column.

    Attributes
    ----------
    architecture : str
        For example ``"ResNet50"``.
    framework : str
        For example ``"pytorch"``; empty when unknown.
    model_config : mapping
        Hyperparameters, layer sizes, or how to build the module.
    tags : mapping of str to str
        Free labels.
    description, created_by : str
        Free text.
    """

    architecture: str = ""
    framework: str = ""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    created_by: str = "flwr-registry"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered set of weights.

    Attributes
    ----------
    id : int
        Rises in the order of registration over all models; clocks order nothing.
    version : str
        SemVer, unique within `model`.
    parent_version : str or None
        The version it was trained from, of the same model.
    storage_path : str
        Key of the weights, relative to the storage root.
    checksum : str
        SHA-256 of the stored file.
    fingerprint : str
        Of the architecture: names, shapes and floating dtypes.
    metrics : mapping
        `MetricSource` value to the metrics that measured exactly these weights.
    validation_errors : tuple of str
        Why the version has status ``failed``.
    total_rounds : int
        Rounds of the run up to and including the one that made it.
    """

    id: int
    model: str
    version: str
    status: VersionStatus
    is_production: bool
    parent_version: str | None
    parent_id: int | None
    run_id: int | None
    run_name: str | None
    server_round: int | None
    storage_path: str
    checksum: str
    file_size_bytes: int
    fingerprint: str
    metadata: VersionMetadata
    metrics: Mapping[str, Mapping[str, Any]]
    val_loss: float | None
    val_accuracy: float | None
    num_clients: int
    total_rounds: int
    epsilon: float | None
    delta: float | None
    validation_errors: tuple[str, ...]
    created_at: datetime
    promoted_at: datetime | None
    archived_at: datetime | None

    @property
    def reference(self) -> str:
        """The short form that names this version: ``model:version``."""
        return f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True)
class Lineage:
    """A version with its past and its future.

    Attributes
    ----------
    version : ModelVersion
        The one that was asked for.
    ancestors : tuple of ModelVersion
        Parent first, root last.
    descendants : tuple of ModelVersion
        Over all branches, oldest first.
    """

    version: ModelVersion
    ancestors: tuple[ModelVersion, ...]
    descendants: tuple[ModelVersion, ...]
