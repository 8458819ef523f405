"""Versions, their bytes, and what a user says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = [
    "Lineage",
    "MetricSource",
    "ModelVersion",
    "StoredObject",
    "VersionMetadata",
    "VersionStatus",
]


class VersionStatus(StrEnum):
    """Where a version stands."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    ARCHIVED = "archived"
    FAILED = "failed"


class MetricSource(StrEnum):
    """Who measured a metric, in the words of Flower's ``Result``.

    ``aggregate`` is what the wrapper itself measured of the round's update.
    """

    TRAIN_CLIENTAPP = "train_clientapp"
    EVALUATE_CLIENTAPP = "evaluate_clientapp"
    EVALUATE_SERVERAPP = "evaluate_serverapp"
    AGGREGATE = "aggregate"


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
    pinned : bool
        Its bytes are kept whatever a retention policy says.
    withdrawn : bool
        A node that was withdrawn has a part in it; it may not be used any more.
    superseded : bool
        Its run went back to an earlier round, and trained its round again otherwise.
    damaged_at : datetime or None
        When a verification last found its bytes damaged or gone.
    bytes_removed_at : datetime or None
        When retention gave its bytes up; row and lineage stay.
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
    pinned: bool = False
    withdrawn: bool = False
    superseded: bool = False
    damaged_at: datetime | None = None
    bytes_removed_at: datetime | None = None

    @property
    def reference(self) -> str:
        """The short form that names this version: ``model:version``."""
        return f"{self.model}:{self.version}"

    @property
    def stored(self) -> StoredObject:
        """Where its bytes lie, and what they have to be."""
        return StoredObject(self.storage_path, self.file_size_bytes, self.checksum)


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
