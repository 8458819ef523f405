"""What drift leaves: findings, and baselines of served values."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "drift_findings",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("version_id", _ID),
        sa.Column("run_id", _ID),
        sa.Column("kind", sa.String(16), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("subject", "since", "found")
        ),
        sa.Column("statistic", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_findings"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name="fk_drift_findings_model"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_drift_findings_version"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_drift_findings_run"),
    )
    op.create_index("ix_drift_findings_model", "drift_findings", ["model_id", "id"])
    op.create_table(
        "drift_baselines",
        sa.Column("id", _ID, nullable=False),
        sa.Column("version_id", _ID, nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_baselines"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name="fk_drift_baselines_version"
        ),
        sa.UniqueConstraint("version_id", name="uq_drift_baselines_version"),
    )
