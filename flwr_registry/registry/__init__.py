"""Which model is which: versions, their past, and who made them."""

from flwr_registry.registry.async_model_registry import AsyncModelRegistry
from flwr_registry.registry.database.locations import Places, resolve_places
from flwr_registry.registry.database.schema import upgrade_database
from flwr_registry.registry.database_leases import DatabaseLeases
from flwr_registry.registry.exchange.exporting import ExportFormat
from flwr_registry.registry.model_registry import ModelRegistry
from flwr_registry.registry.promotion.gates import (
    BetterThanProduction,
    FewestContributors,
    MetricAtLeast,
    MetricAtMost,
    PrivacyBudgetAtMost,
    PromotionGate,
)
from flwr_registry.registry.rows.json_values import to_json
from flwr_registry.registry.upkeep.storage_contents import (
    StorageContents,
    look_into,
)
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.node_names import NodeNames
from flwr_registry.registry.versions.references import BEST, Reference, parse_reference
from flwr_registry.registry.versions.version_manager import SemVer, VersionManager

__all__ = [
    "BEST",
    "AsyncModelRegistry",
    "BetterThanProduction",
    "DatabaseLeases",
    "ExportFormat",
    "FewestContributors",
    "MetricAtLeast",
    "MetricAtMost",
    "ModelRegistry",
    "NodeNames",
    "Places",
    "PrivacyBudgetAtMost",
    "PromotionGate",
    "Reference",
    "SemVer",
    "StorageContents",
    "VersionManager",
    "current_actor",
    "look_into",
    "parse_reference",
    "resolve_places",
    "to_json",
    "upgrade_database",
]
