"""All tables of the registry, to be compared with what the migrations make."""

from __future__ import annotations

from flwr_registry.registry.rows import (
    drift_db,
    governance_db,
    identity_db,
    lease_db,
    model_db,
    run_db,
    version_db,
)
from flwr_registry.registry.rows.column_types import Row

__all__ = [
    "drift_db",
    "governance_db",
    "identity_db",
    "lease_db",
    "metadata",
    "model_db",
    "run_db",
    "version_db",
]

metadata = Row.metadata
