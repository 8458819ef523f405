"""The frozen facts that every floor speaks."""

from flwr_registry.records.contributors import (
    Contributor,
    RetrainingPoint,
    Withdrawal,
    WithdrawnNode,
)
from flwr_registry.records.drift import (
    DriftFinding,
    DriftKind,
    DriftSeverity,
    RecordedDrift,
)
from flwr_registry.records.leases import Lease, LeaseHolder
from flwr_registry.records.lineages import (
    ContributorsDiff,
    LayerDiff,
    LayerMismatch,
    MetricChange,
    SettingChange,
    VersionDiff,
    WeightsDiff,
)
from flwr_registry.records.names import check_name
from flwr_registry.records.places import StorageOwner, Whereabouts
from flwr_registry.records.promotions import Promotion
from flwr_registry.records.runs import (
    Contribution,
    ContributionStatus,
    Round,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
)
from flwr_registry.records.search import Page
from flwr_registry.records.upkeep import (
    BytesState,
    Collection,
    ExplainedVersion,
    Fate,
    Finding,
    RemovedBytes,
    Severity,
    UnknownDeletion,
    UnknownFile,
    Verification,
    VerificationSummary,
)
from flwr_registry.records.versions import (
    Lineage,
    MetricSource,
    ModelVersion,
    StoredObject,
    VersionMetadata,
    VersionStatus,
)

__all__ = [
    "BytesState",
    "Collection",
    "Contribution",
    "ContributionStatus",
    "Contributor",
    "ContributorsDiff",
    "DriftFinding",
    "DriftKind",
    "DriftSeverity",
    "ExplainedVersion",
    "Fate",
    "Finding",
    "LayerDiff",
    "LayerMismatch",
    "Lease",
    "LeaseHolder",
    "Lineage",
    "MetricChange",
    "MetricSource",
    "ModelVersion",
    "Page",
    "Promotion",
    "RecordedDrift",
    "RemovedBytes",
    "RetrainingPoint",
    "Round",
    "RoundFacts",
    "RoundStatus",
    "Run",
    "RunProvenance",
    "SettingChange",
    "Severity",
    "StorageOwner",
    "StoredObject",
    "UnknownDeletion",
    "UnknownFile",
    "Verification",
    "VerificationSummary",
    "VersionDiff",
    "VersionMetadata",
    "VersionStatus",
    "WeightsDiff",
    "Whereabouts",
    "Withdrawal",
    "WithdrawnNode",
    "check_name",
]
