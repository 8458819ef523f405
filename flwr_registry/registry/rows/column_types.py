"""The types of columns, alike on SQLite and PostgreSQL, and the class of all rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Integer,
    MetaData,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = ["Id", "Row", "UtcDateTime", "now"]


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC that comes back with its time zone, also from SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Refuse a time without zone, and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Give the zone back where the database keeps none."""
        if value is None or value.tzinfo is None:
            return value and value.replace(tzinfo=UTC)
        return value.astimezone(UTC)


# SQLite numbers rows by itself only in columns of exactly this type.
Id = BigInteger().with_variant(Integer, "sqlite")


def now() -> datetime:
    """Return the present time, for display: clocks order nothing."""
    return datetime.now(UTC)


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        float: Double(),
        datetime: UtcDateTime,
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }

    id: Mapped[int] = mapped_column(Id, primary_key=True, sort_order=-1)
