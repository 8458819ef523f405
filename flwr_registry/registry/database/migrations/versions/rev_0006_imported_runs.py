"""Which runs were started in another registry."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Mark the runs of imported versions, unless a start here took a lease."""
    op.add_column(
        "runs",
        sa.Column("imported", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    log = sa.table(
        "model_audit_logs",
        sa.column("action", sa.String),
        sa.column("details", sa.JSON),
    )
    runs = sa.table(
        "runs",
        sa.column("id", _ID),
        sa.column("start_number", sa.Integer),
        sa.column("imported", sa.Boolean),
    )
    connection = op.get_bind()
    found = connection.execute(sa.select(log.c.details).where(log.c.action == "import"))
    for (details,) in found.all():
        if isinstance(details, dict) and isinstance(details.get("run"), int):
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == details["run"], runs.c.start_number.is_(None))
                .values(imported=True)
            )
