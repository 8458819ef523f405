"""The rows of models."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flwr_registry.registry.rows.column_types import Row, now

__all__ = ["ModelRow"]


class ModelRow(Row):
    """A named line of versions."""

    __tablename__ = "registered_models"
    __table_args__ = (UniqueConstraint("name", name="uq_registered_models_name"),)

    name: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)
