"""The rows of models."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flwr_registry.registry.rows.column_types import Row, now

__all__ = ["ModelRow"]


class ModelRow(Row):
    """A named line of versions.

    Attributes
    ----------
    folded_name : str or None
        The name in small letters, of which there is one model. None where two models
        had it before that was so: the younger of them.
    """

    __tablename__ = "registered_models"
    __table_args__ = (
        UniqueConstraint("name", name="uq_registered_models_name"),
        Index("uq_registered_models_folded_name", "folded_name", unique=True),
    )

    name: Mapped[str] = mapped_column(String(128))
    folded_name: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)
