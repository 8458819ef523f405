"""The metrics of a version in its row, and in the table that is searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.version_db import MetricRow, VersionRow
from flwr_registry.registry.versions.metrics import (
    searchable_metrics,
    val_accuracy_of,
    val_loss_of,
)

__all__ = ["set_metrics"]


def set_metrics(
    session: Session, version: VersionRow, metrics: Mapping[str, Any]
) -> None:
    """Replace all metrics of a version.

    Parameters
    ----------
    metrics : mapping
        By source, as `collect_metrics` returns them.
    """
    version.metrics = dict(metrics)
    version.val_loss = val_loss_of(metrics)
    version.val_accuracy = val_accuracy_of(metrics)
    session.add(version)
    session.flush()
    session.execute(delete(MetricRow).where(MetricRow.version_id == version.id))
    session.add_all(
        MetricRow(
            version_id=version.id, model_id=version.model_id, **measured._asdict()
        )
        for measured in searchable_metrics(metrics)
    )
    session.flush()
