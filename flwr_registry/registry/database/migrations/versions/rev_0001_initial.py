"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from flwr_registry.registry.database.migrations.audit_guards import (
    POSTGRESQL_GUARDS,
    SQLITE_GUARDS,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make all tables and the guards of the audit log."""
    _make_models_and_runs()
    _make_rounds()
    _make_versions()
    _make_governance()
    _make_uploads()
    _make_audit_log()


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, nullable=False)


def _make_models_and_runs() -> None:
    op.create_table(
        "registered_models",
        _id(),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registered_models"),
        sa.UniqueConstraint("name", name="uq_registered_models_name"),
    )
    op.create_table(
        "runs",
        _id(),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        *_required_columns(sa.Text(), "flwr_run_id", "app_id", "app_version"),
        *_required_columns(sa.Text(), "app_hash", "federation", "strategy"),
        sa.Column("strategy_config", sa.JSON(), nullable=False),
        sa.Column("run_config", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_runs_model"
        ),
    )
    op.create_index("ix_runs_name", "runs", ["name"])
    op.create_index("ix_runs_model", "runs", ["model_id", "id"])


def _make_rounds() -> None:
    measured = sa.ForeignKeyConstraint(
        ["measured_version_id"],
        ["model_versions.id"],
        name="fk_rounds_measured_version",
    )
    op.create_table(
        "rounds",
        _id(),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("server_round", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("measured_version_id", _ID),
        sa.Column("duration_seconds", sa.Double()),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rounds"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_rounds_run"),
        # SQLite can add no constraint later, but names tables before they exist.
        *([measured] if _on_sqlite() else []),
        sa.UniqueConstraint(
            "run_id", "server_round", name="uq_rounds_run_server_round"
        ),
        sa.CheckConstraint(
            "status IN ('registered', 'rejected', 'no_result')",
            name=op.f("ck_rounds_status"),
        ),
    )
    op.create_table(
        "contributions",
        _id(),
        sa.Column("round_id", _ID, nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("num_examples", sa.Double()),
        sa.Column("weight_share", sa.Double()),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("error_code", sa.Integer()),
        sa.Column("error_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contributions"),
        sa.ForeignKeyConstraint(
            ["round_id"], ["rounds.id"], name="fk_contributions_round"
        ),
        sa.UniqueConstraint("round_id", "node_id", name="uq_contributions_round_node"),
        sa.CheckConstraint(
            "status IN ('ok', 'error', 'no_reply')",
            name=op.f("ck_contributions_status"),
        ),
    )
    op.create_index("ix_contributions_node", "contributions", ["node_id"])


def _make_versions() -> None:
    op.create_table(
        "model_versions",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        *_required_columns(sa.Integer(), "major", "minor", "patch"),
        sa.Column("run_id", _ID),
        sa.Column("round_id", _ID),
        sa.Column("storage_path", sa.Text(), nullable=False),
        sa.Column("checksum", sa.String(64), nullable=False),
        sa.Column("file_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("val_loss", sa.Double()),
        sa.Column("val_accuracy", sa.Double()),
        *_required_columns(sa.Text(), "architecture", "framework"),
        *_required_columns(sa.JSON(), "model_config", "tags"),
        sa.Column("parent_id", _ID),
        sa.Column("parent_version", sa.String(32)),
        *_required_columns(sa.Integer(), "num_clients", "total_rounds"),
        sa.Column("epsilon", sa.Double()),
        sa.Column("delta", sa.Double()),
        sa.Column("validation_errors", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("is_production", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("promoted_at", _TIME),
        sa.Column("archived_at", _TIME),
        *_required_columns(sa.Text(), "description", "created_by"),
        *_version_constraints(),
    )
    for name, columns in {
        "ix_model_versions_newest": ["model_id", "id"],
        "ix_model_versions_numbers": ["model_id", "major", "minor", "patch"],
        "ix_model_versions_fingerprint": ["model_id", "fingerprint", "major"],
        "ix_model_versions_run": ["run_id", "id"],
        "ix_model_versions_parent": ["parent_id"],
    }.items():
        op.create_index(name, "model_versions", columns)
    op.create_index(
        "uq_model_versions_production",
        "model_versions",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("is_production"),
        postgresql_where=sa.text("is_production"),
    )
    if not _on_sqlite():
        op.create_foreign_key(
            "fk_rounds_measured_version",
            "rounds",
            "model_versions",
            ["measured_version_id"],
            ["id"],
        )


def _version_constraints() -> list[sa.Constraint]:
    table = "model_versions"
    return [
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name=f"fk_{table}_model"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=f"fk_{table}_run"),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=f"fk_{table}_round"),
        sa.ForeignKeyConstraint(
            ["parent_id", "model_id", "parent_version"],
            [f"{table}.id", f"{table}.model_id", f"{table}.version"],
            name=f"fk_{table}_parent",
        ),
        sa.UniqueConstraint("model_id", "version", name=f"uq_{table}_version"),
        sa.UniqueConstraint(
            "id", "model_id", "version", name=f"uq_{table}_id_model_version"
        ),
        sa.UniqueConstraint("round_id", name=f"uq_{table}_round"),
        *(
            sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
            for name, condition in {
                "status": "status IN ('candidate', 'active', 'archived', 'failed')",
                "production": "NOT is_production OR status = 'active'",
                "version": "version = major || '.' || minor || '.' || patch",
                "parent_whole": "(parent_id IS NULL) = (parent_version IS NULL)",
                "parent_earlier": "parent_id < id",
            }.items()
        ),
    ]


def _make_governance() -> None:
    op.create_table(
        "promotions",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("from_version_id", _ID),
        sa.Column("to_version_id", _ID, nullable=False),
        sa.Column("reverted", sa.Boolean(), nullable=False),
        *_required_columns(sa.Text(), "actor", "reason"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_promotions"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_promotions_model"
        ),
        sa.ForeignKeyConstraint(
            ["from_version_id"], ["model_versions.id"], name="fk_promotions_from"
        ),
        sa.ForeignKeyConstraint(
            ["to_version_id"], ["model_versions.id"], name="fk_promotions_to"
        ),
        sa.UniqueConstraint("model_id", "sequence", name="uq_promotions_sequence"),
    )
    op.create_table(
        "model_aliases",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("version_id", _ID, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_aliases"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_model_aliases_model"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_model_aliases_version"
        ),
        sa.UniqueConstraint("model_id", "alias", name="uq_model_aliases_alias"),
    )
    op.create_index("ix_model_aliases_version", "model_aliases", ["version_id"])


def _make_uploads() -> None:
    op.create_table(
        "uploads",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        *_required_columns(sa.Integer(), "major", "minor", "patch"),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("storage_prefix", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_uploads_model"
        ),
    )
    op.create_index(
        "ix_uploads_numbers", "uploads", ["model_id", "major", "minor", "patch"]
    )


def _make_audit_log() -> None:
    op.create_table(
        "model_audit_logs",
        _id(),
        sa.Column("timestamp", _TIME, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("version", sa.String(32)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("entry_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_audit_logs"),
        sa.UniqueConstraint("previous_hash", name="uq_model_audit_logs_previous_hash"),
        sa.UniqueConstraint("entry_hash", name="uq_model_audit_logs_entry_hash"),
    )
    for statement in SQLITE_GUARDS if _on_sqlite() else POSTGRESQL_GUARDS:
        op.execute(statement)


def _required_columns(
    kind: sa.types.TypeEngine[Any], *names: str
) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _on_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
