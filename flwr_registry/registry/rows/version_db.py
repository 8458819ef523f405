"""The rows of versions, of their metrics, and of uploads that wait to become one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    cast,
    false,
    literal,
    not_,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flwr_registry.registry.rows.column_types import Id, Row, now
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.run_db import RoundRow, RunRow

__all__ = ["MetricRow", "UploadRow", "VersionRow", "is_sound", "is_trusted"]

_SOUND = "status <> 'failed'"


def _partial_index(name: str, condition: str, *columns: str) -> Index:
    where = text(condition)
    return Index(
        f"ix_model_versions_{name}",
        *columns,
        sqlite_where=where,
        postgresql_where=where,
    )


class VersionRow(Row):
    """One registered set of weights."""

    __tablename__ = "model_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_model_versions_model"
        ),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_model_versions_run"),
        ForeignKeyConstraint(
            ["round_id"], ["rounds.id"], name="fk_model_versions_round"
        ),
        # Three columns: the parent exists, is of this model, and has this number.
        ForeignKeyConstraint(
            ["parent_id", "model_id", "parent_version"],
            ["model_versions.id", "model_versions.model_id", "model_versions.version"],
            name="fk_model_versions_parent",
        ),
        UniqueConstraint("model_id", "version", name="uq_model_versions_version"),
        UniqueConstraint(
            "id", "model_id", "version", name="uq_model_versions_id_model_version"
        ),
        UniqueConstraint("round_id", name="uq_model_versions_round"),
        CheckConstraint(
            "status IN ('candidate', 'active', 'archived', 'failed')", name="status"
        ),
        CheckConstraint("NOT is_production OR status = 'active'", name="production"),
        CheckConstraint(
            "version = major || '.' || minor || '.' || patch", name="version"
        ),
        CheckConstraint(
            "(parent_id IS NULL) = (parent_version IS NULL)", name="parent_whole"
        ),
        # Registered earlier, so that no lineage can ever be a circle.
        CheckConstraint("parent_id < id", name="parent_earlier"),
        Index(
            "uq_model_versions_production",
            "model_id",
            unique=True,
            # SQLite takes a partial index only for a condition in the same words.
            sqlite_where=text("is_production = 1"),
            postgresql_where=text("is_production"),
        ),
        Index("ix_model_versions_newest", "model_id", "id"),
        Index("ix_model_versions_numbers", "model_id", "major", "minor", "patch"),
        Index("ix_model_versions_status", "model_id", "status", "id"),
        Index("ix_model_versions_run", "run_id", "id"),
        Index("ix_model_versions_parent", "parent_id"),
        # Newest and highest are found in one step, however many failed since.
        _partial_index("sound", _SOUND, "model_id", "id"),
        _partial_index("sound_of_run", _SOUND, "run_id", "id"),
        _partial_index("sound_major", _SOUND, "model_id", "major"),
        _partial_index("fingerprint", _SOUND, "model_id", "fingerprint", "major"),
        # What keeps its bytes, in the order that retention goes through it.
        _partial_index("stored", "bytes_removed_at IS NULL", "model_id", "id"),
    )

    model_id: Mapped[int] = mapped_column(Id)
    version: Mapped[str] = mapped_column(String(32))
    major: Mapped[int]
    minor: Mapped[int]
    patch: Mapped[int]
    run_id: Mapped[int | None] = mapped_column(Id)
    round_id: Mapped[int | None] = mapped_column(Id)
    storage_path: Mapped[str]
    checksum: Mapped[str] = mapped_column(String(64))
    file_size_bytes: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    val_loss: Mapped[float | None]
    val_accuracy: Mapped[float | None]
    architecture: Mapped[str]
    framework: Mapped[str]
    model_config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    parent_id: Mapped[int | None] = mapped_column(Id)
    parent_version: Mapped[str | None] = mapped_column(String(32))
    num_clients: Mapped[int]
    total_rounds: Mapped[int]
    epsilon: Mapped[float | None]
    delta: Mapped[float | None]
    validation_errors: Mapped[list[str]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(16))
    is_production: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    promoted_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    description: Mapped[str]
    created_by: Mapped[str]
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    withdrawn: Mapped[bool] = mapped_column(default=False, server_default=false())
    superseded: Mapped[bool] = mapped_column(default=False, server_default=false())
    damaged_at: Mapped[datetime | None]
    bytes_removed_at: Mapped[datetime | None]

    model: Mapped[ModelRow] = relationship(lazy="joined", innerjoin=True)
    run: Mapped[RunRow | None] = relationship(lazy="joined")
    round: Mapped[RoundRow | None] = relationship(
        lazy="joined", foreign_keys=[round_id]
    )


class MetricRow(Row):
    """One finite metric of a version, to search by; the version's JSON has them all.

    `best_source` marks the row of the most trusted source that has this name.
    """

    __tablename__ = "version_metrics"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_version_metrics_version"
        ),
        UniqueConstraint(
            "version_id", "source", "name", name="uq_version_metrics_source_name"
        ),
        Index("ix_version_metrics_value", "model_id", "name", "value"),
    )

    version_id: Mapped[int] = mapped_column(Id)
    model_id: Mapped[int] = mapped_column(Id)
    source: Mapped[str] = mapped_column(String(32))
    name: Mapped[str]
    value: Mapped[float]
    best_source: Mapped[bool]


class UploadRow(Row):
    """Bytes that are about to be committed, and the number that waits for them."""

    __tablename__ = "uploads"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_uploads_model"
        ),
        Index("ix_uploads_numbers", "model_id", "major", "minor", "patch"),
    )

    model_id: Mapped[int] = mapped_column(Id)
    major: Mapped[int]
    minor: Mapped[int]
    patch: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))
    failed: Mapped[bool]
    storage_prefix: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


def is_sound() -> ColumnElement[bool]:
    """Return the condition that a version did not fail, as partial indexes say it."""
    # A bound value would hide from the database that the index fits.
    return VersionRow.status != literal("failed", literal_execute=True)


def is_trusted() -> ColumnElement[bool]:
    """Return the condition that a version may be among the best or the newest.

    It did not fail, nothing is doubted of it (in production a doubt changes no status),
    and it is neither withdrawn nor superseded.
    """
    return and_(
        is_sound(),
        cast(VersionRow.validation_errors, Text) == "[]",
        not_(VersionRow.withdrawn),
        not_(VersionRow.superseded),
    )
