"""The rows of leases: which start of a run may write."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flwr_registry.registry.rows.column_types import Row

__all__ = ["RunLeaseRow"]


class RunLeaseRow(Row):
    """One start's hold on the runs of a name."""

    __tablename__ = "run_leases"
    __table_args__ = (
        UniqueConstraint("run_name", "start_number", name="uq_run_leases_start"),
    )

    run_name: Mapped[str] = mapped_column(String(128))
    start_number: Mapped[int]
    token: Mapped[str]
    holder: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    lease_seconds: Mapped[float]
    renewals: Mapped[int]
    released: Mapped[bool]
