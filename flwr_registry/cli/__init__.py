"""The command line of the registry."""

from flwr_registry.cli import (
    audit_commands,
    checkpoint_commands,
    commands,
    contributor_commands,
    drift_commands,
    exchange_commands,
    garbage_commands,
    lineage_commands,
    place_commands,
    promotion_commands,
    run_commands,
    search_commands,
    serving_commands,
    upkeep_commands,
)
from flwr_registry.cli.application import app

__all__ = [
    "app",
    "audit_commands",
    "checkpoint_commands",
    "commands",
    "contributor_commands",
    "drift_commands",
    "exchange_commands",
    "garbage_commands",
    "lineage_commands",
    "place_commands",
    "promotion_commands",
    "run_commands",
    "search_commands",
    "serving_commands",
    "upkeep_commands",
]
