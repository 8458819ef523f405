"""The frozen facts that every floor speaks."""

from flwr_registry.records.names import check_name
from flwr_registry.records.runs import (
    Contribution,
    ContributionStatus,
    Round,
    RoundFacts,
    RoundStatus,
    Run,
    RunProvenance,
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
