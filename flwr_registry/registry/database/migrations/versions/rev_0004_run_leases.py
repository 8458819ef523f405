"""Which start of a run may write."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table of leases, and the start number of each run."""
    op.create_table(
        "run_leases",
        sa.Column("id", _ID, nullable=False),
        sa.Column("run_name", sa.String(128), nullable=False),
        sa.Column("start_number", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("holder", sa.JSON(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_seconds", sa.Double(), nullable=False),
        sa.Column("renewals", sa.Integer(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_leases"),
        sa.UniqueConstraint("run_name", "start_number", name="uq_run_leases_start"),
    )
    # None for those that earlier releases started, or that nobody took a lease for.
    op.add_column("runs", sa.Column("start_number", sa.Integer()))
