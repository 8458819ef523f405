"""Digests of rows, which audit entries carry: what they held when it was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.canonical_json import canonical_json, interoperable
from flwr_registry.registry.rows.column_types import Row
from flwr_registry.registry.rows.drift_db import DriftBaselineRow, DriftFindingRow
from flwr_registry.registry.rows.run_db import ContributionRow, RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = [
    "SEALED",
    "Seals",
    "contributions_seal",
    "round_seals",
    "seal_of",
    "seals_of",
]

Seals: TypeAlias = dict[str, dict[str, str]]
"""By table, then by what names the row there."""

# Written out: a column that comes later must not change the digests of older rows.
SEALED: Mapping[str, Sequence[str]] = {
    VersionRow.__tablename__: (
        *("id", "model_id", "version", "major", "minor", "patch", "run_id"),
        *("round_id", "storage_path", "checksum", "file_size_bytes", "fingerprint"),
        *("metrics", "val_loss", "val_accuracy", "architecture", "framework"),
        *("model_config", "tags", "parent_id", "parent_version", "num_clients"),
        *("total_rounds", "epsilon", "delta", "validation_errors", "created_at"),
        *("description", "created_by"),
    ),
    RunRow.__tablename__: (
        *("id", "name", "model_id", "flwr_run_id", "app_id", "app_version"),
        *("app_hash", "federation", "strategy", "strategy_config", "run_config"),
        *("versions", "started_at", "start_number", "imported"),
    ),
    RoundRow.__tablename__: (
        *("id", "run_id", "server_round", "status", "metrics", "errors"),
        *("measured_version_id", "duration_seconds", "created_at"),
    ),
    ContributionRow.__tablename__: (
        *("node_id", "status", "num_examples", "weight_share", "metrics"),
        *("error_code", "error_reason"),
    ),
    DriftFindingRow.__tablename__: (
        *("id", "model_id", "version_id", "run_id", "kind", "subject", "since"),
        *("found", "statistic", "threshold", "severity", "message", "created_at"),
    ),
    DriftBaselineRow.__tablename__: ("version_id", "content", "created_at"),
}
"""The columns that a digest is computed over, by table.

What an entry of the audit log tells by itself, such as the status of a version, is in
none of them.
"""


def seal_of(table: str, values: Mapping[str, Any]) -> str:
    """Return the digest of a row.

    Parameters
    ----------
    values : mapping
        By column.
    """
    return _digest({name: _plain(values[name]) for name in SEALED[table]})


def contributions_seal(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of all that nodes gave in one round, in whatever order."""
    names = SEALED[ContributionRow.__tablename__]
    given = [{name: _plain(row[name]) for name in names} for row in rows]
    return _digest(sorted(given, key=lambda each: str(each["node_id"])))


def seals_of(*rows: Row | None) -> Seals:
    """Return the digests of rows that are flushed, for the details of an entry."""
    seals: Seals = {}
    for row in rows:
        if row is None:
            continue
        table = row.__tablename__
        values = {name: getattr(row, name) for name in SEALED[table]}
        seals.setdefault(table, {})[_key(row)] = seal_of(table, values)
    return seals


def round_seals(session: Session, row: RoundRow) -> Seals:
    """Return the digests of a round and of what nodes gave in it."""
    names = SEALED[ContributionRow.__tablename__]
    columns = [getattr(ContributionRow, name) for name in names]
    query = select(*columns).where(ContributionRow.round_id == row.id)
    given = [dict(each._mapping) for each in session.execute(query)]
    seal = {str(row.id): contributions_seal(given)}
    return {**seals_of(row), ContributionRow.__tablename__: seal}


def _key(row: Row) -> str:
    match row:
        case VersionRow():
            return row.version
        case DriftBaselineRow():
            return str(row.version_id)
    return str(row.id)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, str) else interoperable(value)


def _digest(content: Any) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()
