"""The rows that govern versions: promotions, aliases, withdrawals, the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flwr_registry.registry.rows.column_types import Id, Row, now

__all__ = ["AliasRow", "AuditRow", "PromotionRow", "WithdrawalRow"]


class PromotionRow(Row):
    """One change of the production version; the sequence orders them, no clock.

    Those that are not `reverted` are the way back that a rollback walks.
    """

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
    to_version_id: Mapped[int | None] = mapped_column(Id)
    reverted: Mapped[bool] = mapped_column(default=False)
    actor: Mapped[str]
    reason: Mapped[str]
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


class WithdrawalRow(Row):
    """A node whose part in every version is withdrawn."""

    __tablename__ = "withdrawals"
    __table_args__ = (UniqueConstraint("node_id", name="uq_withdrawals_node_id"),)

    node_id: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


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
