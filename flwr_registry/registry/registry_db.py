"""The rows of models, versions and what governs them; none leaves this folder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flwr_registry.registry.column_types import Id, Row, now
from flwr_registry.registry.run_db import RoundRow, RunRow

__all__ = [
    "AliasRow",
    "AuditRow",
    "ModelRow",
    "PromotionRow",
    "UploadRow",
    "VersionRow",
    "metadata",
]


class ModelRow(Row):
    """A named line of versions."""

    __tablename__ = "registered_models"
    __table_args__ = (UniqueConstraint("name", name="uq_registered_models_name"),)

    name: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)


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
            sqlite_where=text("is_production"),
            postgresql_where=text("is_production"),
        ),
        Index("ix_model_versions_newest", "model_id", "id"),
        Index("ix_model_versions_numbers", "model_id", "major", "minor", "patch"),
        Index("ix_model_versions_fingerprint", "model_id", "fingerprint", "major"),
        Index("ix_model_versions_run", "run_id", "id"),
        Index("ix_model_versions_parent", "parent_id"),
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

    model: Mapped[ModelRow] = relationship(lazy="joined", innerjoin=True)
    run: Mapped[RunRow | None] = relationship(lazy="joined")
    round: Mapped[RoundRow | None] = relationship(
        lazy="joined", foreign_keys=[round_id]
    )


class PromotionRow(Row):
    """One change of the production version; the sequence orders them, no clock."""

    __tablename__ = "promotions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_promotions_model"
        ),
        ForeignKeyConstraint(
            ["from_version_id"], ["model_versions.id"], name="fk_promotions_from"
        ),
        ForeignKeyConstraint(
            ["to_version_id"], ["model_versions.id"], name="fk_promotions_to"
        ),
        UniqueConstraint("model_id", "sequence", name="uq_promotions_sequence"),
    )

    model_id: Mapped[int] = mapped_column(Id)
    sequence: Mapped[int]
    action: Mapped[str] = mapped_column(String(16))
    from_version_id: Mapped[int | None] = mapped_column(Id)
    to_version_id: Mapped[int] = mapped_column(Id)
    reverted: Mapped[bool] = mapped_column(default=False)
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


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


class AliasRow(Row):
    """A user's own name for a version."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_model_aliases_model"
        ),
        ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_model_aliases_version"
        ),
        UniqueConstraint("model_id", "alias", name="uq_model_aliases_alias"),
        Index("ix_model_aliases_version", "version_id"),
    )

    model_id: Mapped[int] = mapped_column(Id)
    alias: Mapped[str] = mapped_column(String(128))
    version_id: Mapped[int] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class AuditRow(Row):
    """One entry of the audit log; the database refuses to change or delete it."""

    __tablename__ = "model_audit_logs"
    __table_args__ = (
        # A chain that forks would need two entries after the same one.
        UniqueConstraint("previous_hash", name="uq_model_audit_logs_previous_hash"),
        UniqueConstraint("entry_hash", name="uq_model_audit_logs_entry_hash"),
    )

    timestamp: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str]
    model: Mapped[str] = mapped_column(String(128))
    version: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str]
    details: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    entry_hash: Mapped[str] = mapped_column(String(64))


metadata = Row.metadata
"""All tables, to be compared with what the migrations make."""
