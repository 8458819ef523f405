"""The rows of runs, their rounds, and what each node contributed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flwr_registry.registry.rows.column_types import Id, Row, now
from flwr_registry.registry.rows.model_db import ModelRow

__all__ = ["ContributionRow", "RoundRow", "RunRow"]


class RunRow(Row):
    """One start of a federation."""

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_runs_model"
        ),
        Index("ix_runs_name", "name"),
        Index("ix_runs_model", "model_id", "id"),
    )

    name: Mapped[str] = mapped_column(String(128))
    model_id: Mapped[int] = mapped_column(Id)
    flwr_run_id: Mapped[str]
    app_id: Mapped[str]
    app_version: Mapped[str]
    app_hash: Mapped[str]
    federation: Mapped[str]
    strategy: Mapped[str]
    strategy_config: Mapped[dict[str, Any]]
    run_config: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(default=now)
    start_number: Mapped[int | None]
    imported: Mapped[bool] = mapped_column(default=False, server_default=false())

    # Nested in another join, an inner one makes SQLite go through all runs.
    model: Mapped[ModelRow] = relationship(lazy="joined", innerjoin="unnested")  # type: ignore[arg-type]


class RoundRow(Row):
    """One server round of a run."""

    __tablename__ = "rounds"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_rounds_run"),
        ForeignKeyConstraint(
            ["measured_version_id"],
            ["model_versions.id"],
            name="fk_rounds_measured_version",
            use_alter=True,
        ),
        UniqueConstraint("run_id", "server_round", name="uq_rounds_run_server_round"),
        CheckConstraint(
            "status IN ('registered', 'rejected', 'no_result')", name="status"
        ),
    )

    run_id: Mapped[int] = mapped_column(Id)
    server_round: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    errors: Mapped[list[str]] = mapped_column(default=list)
    measured_version_id: Mapped[int | None] = mapped_column(Id)
    duration_seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    contributions: Mapped[list[ContributionRow]] = relationship(
        order_by="ContributionRow.id", cascade="all, delete-orphan"
    )


class ContributionRow(Row):
    """What one node gave in one round."""

    __tablename__ = "contributions"
    __table_args__ = (
        UniqueConstraint("round_id", "node_id", name="uq_contributions_round_node"),
        CheckConstraint("status IN ('ok', 'error', 'no_reply')", name="status"),
        Index("ix_contributions_node", "node_id"),
    )

    round_id: Mapped[int] = mapped_column(
        Id, ForeignKey("rounds.id", name="fk_contributions_round")
    )
    node_id: Mapped[str]
    status: Mapped[str] = mapped_column(String(16))
    num_examples: Mapped[float | None]
    weight_share: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]
    error_code: Mapped[int | None]
    error_reason: Mapped[str]
