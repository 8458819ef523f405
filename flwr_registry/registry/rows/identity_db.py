"""The row that says which registry a database is of."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from flwr_registry.registry.rows.column_types import Row

__all__ = ["IdentityRow"]


class IdentityRow(Row):
    """What a database is to the storage that its bytes lie in; there is one at most.

    Attributes
    ----------
    registry_id : str
        The registry whose storage it writes to.
    database_id : str
        This database's own; the same where it was the first on that storage.
    """

    __tablename__ = "registry_identity"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    registry_id: Mapped[str] = mapped_column(String(36))
    database_id: Mapped[str] = mapped_column(String(36))
