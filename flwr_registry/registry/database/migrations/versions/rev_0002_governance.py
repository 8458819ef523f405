"""What promotion, search, retention and withdrawal need."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_PAGE = 1000
_SOURCES = ("evaluate_serverapp", "evaluate_clientapp", "train_clientapp")
_MAX_NAME_CHARACTERS = 200


def upgrade() -> None:
    """Add columns and tables, and fill the metrics of the versions that are there."""
    _extend_versions()
    _index_versions()
    _make_version_metrics()
    _fill_version_metrics()
    _make_withdrawals()
    # A withdrawal leaves a model without a production version.
    with op.batch_alter_table("promotions") as promotions:
        promotions.alter_column("to_version_id", existing_type=_ID, nullable=True)


def _extend_versions() -> None:
    for name in ("pinned", "withdrawn", "superseded"):
        op.add_column(
            "model_versions",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )
    for name in ("damaged_at", "bytes_removed_at"):
        op.add_column("model_versions", sa.Column(name, _TIME))


def _index_versions() -> None:
    """Add what keeps each question one step in an index, with any number of rows."""
    table = "model_versions"
    if op.get_context().dialect.name == "sqlite":
        # SQLite takes a partial index only for a condition in the same words.
        op.drop_index(f"uq_{table}_production", table)
        op.create_index(
            f"uq_{table}_production",
            table,
            ["model_id"],
            unique=True,
            sqlite_where=sa.text("is_production = 1"),
        )
    op.drop_index(f"ix_{table}_fingerprint", table)
    op.create_index(f"ix_{table}_status", table, ["model_id", "status", "id"])
    sound = sa.text("status <> 'failed'")
    stored = sa.text("bytes_removed_at IS NULL")
    for name, condition, columns in (
        ("sound", sound, ["model_id", "id"]),
        ("sound_of_run", sound, ["run_id", "id"]),
        ("sound_major", sound, ["model_id", "major"]),
        ("fingerprint", sound, ["model_id", "fingerprint", "major"]),
        ("stored", stored, ["model_id", "id"]),
    ):
        op.create_index(
            f"ix_{table}_{name}",
            table,
            columns,
            sqlite_where=condition,
            postgresql_where=condition,
        )


def _make_version_metrics() -> None:
    op.create_table(
        "version_metrics",
        sa.Column("id", _ID, nullable=False),
        sa.Column("version_id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("best_source", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_version_metrics"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_version_metrics_version"
        ),
        sa.UniqueConstraint(
            "version_id", "source", "name", name="uq_version_metrics_source_name"
        ),
    )
    op.create_index(
        "ix_version_metrics_value", "version_metrics", ["model_id", "name", "value"]
    )


def _make_withdrawals() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("id", _ID, nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_withdrawals"),
        sa.UniqueConstraint("node_id", name="uq_withdrawals_node_id"),
    )


def _fill_version_metrics() -> None:
    connection = op.get_bind()
    page = sa.text(
        "SELECT id, model_id, metrics FROM model_versions WHERE id > :after "
        "ORDER BY id LIMIT :page"
    )
    insert = sa.text(
        "INSERT INTO version_metrics "
        "(version_id, model_id, source, name, value, best_source) "
        "VALUES (:version_id, :model_id, :source, :name, :value, :best_source)"
    )
    after = 0
    while found := connection.execute(page, {"after": after, "page": _PAGE}).all():
        rows = [
            {"version_id": version_id, "model_id": model_id, **measured}
            for version_id, model_id, metrics in found
            for measured in _measures(metrics)
        ]
        if rows:
            connection.execute(insert, rows)
        after = found[-1].id


def _measures(metrics: Any) -> Iterator[Mapping[str, Any]]:
    by_source = json.loads(metrics) if isinstance(metrics, str) else metrics
    seen: set[str] = set()
    for source in _SOURCES:
        measured = by_source.get(source, {})
        for name, value in measured.items():
            if _is_searchable(name, value):
                yield {
                    "source": source,
                    "name": name,
                    "value": float(value),
                    "best_source": name not in seen,
                }
        seen |= measured.keys()


def _is_searchable(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return len(name) <= _MAX_NAME_CHARACTERS and abs(value) <= sys.float_info.max
