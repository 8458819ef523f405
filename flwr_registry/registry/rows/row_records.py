"""Rows into the frozen records that leave this folder."""

from __future__ import annotations

from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    ModelVersion,
    Round,
    RoundStatus,
    Run,
    RunProvenance,
    VersionMetadata,
    VersionStatus,
)
from flwr_registry.registry.rows.json_values import from_json
from flwr_registry.registry.rows.run_db import ContributionRow, RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["contribution_record", "round_record", "run_record", "version_record"]


def version_record(row: VersionRow) -> ModelVersion:
    """Return a version with the names of its model, run and round."""
    return ModelVersion(
        id=row.id,
        model=row.model.name,
        version=row.version,
        status=VersionStatus(row.status),
        is_production=row.is_production,
        parent_version=row.parent_version,
        parent_id=row.parent_id,
        run_id=row.run_id,
        run_name=row.run.name if row.run else None,
        server_round=row.round.server_round if row.round else None,
        storage_path=row.storage_path,
        checksum=row.checksum,
        file_size_bytes=row.file_size_bytes,
        fingerprint=row.fingerprint,
        metadata=_metadata_of(row),
        metrics=from_json(row.metrics),
        val_loss=row.val_loss,
        val_accuracy=row.val_accuracy,
        num_clients=row.num_clients,
        total_rounds=row.total_rounds,
        epsilon=row.epsilon,
        delta=row.delta,
        validation_errors=tuple(row.validation_errors),
        created_at=row.created_at,
        promoted_at=row.promoted_at,
        archived_at=row.archived_at,
        pinned=row.pinned,
        withdrawn=row.withdrawn,
        superseded=row.superseded,
        damaged_at=row.damaged_at,
        bytes_removed_at=row.bytes_removed_at,
    )


def run_record(row: RunRow) -> Run:
    """Return a run with its provenance."""
    provenance = RunProvenance(
        name=row.name,
        model=row.model.name,
        flwr_run_id=row.flwr_run_id,
        app_id=row.app_id,
        app_version=row.app_version,
        app_hash=row.app_hash,
        federation=row.federation,
        strategy=row.strategy,
        strategy_config=row.strategy_config,
        run_config=row.run_config,
        versions=row.versions,
    )
    return Run(row.id, provenance, row.started_at, row.start_number, row.imported)


def round_record(row: RoundRow, version: str | None, measured: str | None) -> Round:
    """Return a round with its contributions.

    Parameters
    ----------
    row : RoundRow
        The round.
    version : str or None
        The version that it made.
    measured : str or None
        The version that its evaluation measured.
    """
    return Round(
        id=row.id,
        run_id=row.run_id,
        server_round=row.server_round,
        status=RoundStatus(row.status),
        metrics=from_json(row.metrics),
        errors=tuple(row.errors),
        version=version,
        measured_version=measured,
        contributions=tuple(map(contribution_record, row.contributions)),
        duration_seconds=row.duration_seconds,
        created_at=row.created_at,
    )


def contribution_record(row: ContributionRow) -> Contribution:
    """Return one node's part in a round."""
    return Contribution(
        node_id=row.node_id,
        status=ContributionStatus(row.status),
        num_examples=row.num_examples,
        weight_share=row.weight_share,
        metrics=from_json(row.metrics),
        error_code=row.error_code,
        error_reason=row.error_reason,
    )


def _metadata_of(row: VersionRow) -> VersionMetadata:
    return VersionMetadata(
        architecture=row.architecture,
        framework=row.framework,
        model_config=row.model_config,
        tags=row.tags,
        description=row.description,
        created_by=row.created_by,
    )
