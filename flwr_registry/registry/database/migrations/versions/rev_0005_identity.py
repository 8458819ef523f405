"""Which registry a database is of, and model names that no disk takes for one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table of the identity, and the folded names of the models."""
    op.create_table(
        "registry_identity",
        sa.Column("id", _ID, nullable=False),
        sa.Column("registry_id", sa.String(36), nullable=False),
        sa.Column("database_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_identity"),
        sa.CheckConstraint("id = 1", name=op.f("ck_registry_identity_single")),
    )
    op.add_column("registered_models", sa.Column("folded_name", sa.String(128)))
    op.create_index(
        "uq_registered_models_folded_name",
        "registered_models",
        ["folded_name"],
        unique=True,
    )
    _fold_names()


def _fold_names() -> None:
    """Give each name to the oldest of its models; younger ones keep none."""
    models = sa.table(
        "registered_models",
        sa.column("id", _ID),
        sa.column("name", sa.String),
        sa.column("folded_name", sa.String),
    )
    connection, taken = op.get_bind(), set()
    found = connection.execute(sa.select(models.c.id, models.c.name).order_by("id"))
    for model_id, name in found.all():
        folded = name.lower()
        if folded not in taken:
            taken.add(folded)
            connection.execute(
                sa.update(models)
                .where(models.c.id == model_id)
                .values(folded_name=folded)
            )
