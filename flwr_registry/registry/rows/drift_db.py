"""The rows of drift: what was found, and what served values are held against."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flwr_registry.registry.rows.column_types import Id, Row, now
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.run_db import RunRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["DriftBaselineRow", "DriftFindingRow"]


class DriftFindingRow(Row):
    """Something that changed for the worse."""

    __tablename__ = "drift_findings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_drift_findings_model"
        ),
        ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_drift_findings_version"
        ),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_drift_findings_run"),
        Index("ix_drift_findings_model", "model_id", "id"),
    )

    model_id: Mapped[int] = mapped_column(Id)
    version_id: Mapped[int | None] = mapped_column(Id)
    run_id: Mapped[int | None] = mapped_column(Id)
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str]
    since: Mapped[str]
    found: Mapped[str]
    statistic: Mapped[float]
    threshold: Mapped[float]
    severity: Mapped[str] = mapped_column(String(16))
    message: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)

    model: Mapped[ModelRow] = relationship(lazy="joined", innerjoin=True)
    version: Mapped[VersionRow | None] = relationship(lazy="joined")
    run: Mapped[RunRow | None] = relationship(lazy="joined")


class DriftBaselineRow(Row):
    """How the inputs and outputs of a version were spread when it was checked."""

    __tablename__ = "drift_baselines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_drift_baselines_version"
        ),
        UniqueConstraint("version_id", name="uq_drift_baselines_version"),
    )

    version_id: Mapped[int] = mapped_column(Id)
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
