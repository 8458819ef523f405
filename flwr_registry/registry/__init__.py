"""Which model is which: versions, their past, and who made them."""

from flwr_registry.registry.json_values import to_json
from flwr_registry.registry.locations import Places, resolve_places
from flwr_registry.registry.model_registry import ModelRegistry
from flwr_registry.registry.references import Reference, parse_reference
from flwr_registry.registry.schema import upgrade_database
from flwr_registry.registry.version_manager import SemVer

__all__ = [
    "ModelRegistry",
    "Places",
    "Reference",
    "SemVer",
    "parse_reference",
    "resolve_places",
    "to_json",
    "upgrade_database",
]
