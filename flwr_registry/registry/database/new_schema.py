"""The schema of this release in one step, for a database that has none yet.

The migrations arrive at the same schema: the tests of released schemas compare them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_mock_engine,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import ExecutableDDLElement

from flwr_registry.registry.database.migrations import HEAD
from flwr_registry.registry.database.migrations.audit_guards import (
    POSTGRESQL_GUARDS,
    SQLITE_GUARDS,
)
from flwr_registry.registry.rows.registry_db import metadata

__all__ = ["create_schema"]

# As Alembic makes it, which goes on from here.
_REVISION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def create_schema(session: Session) -> None:
    """Make all tables, indexes and guards, and note the newest revision.

    Parameters
    ----------
    session : Session
        In the transaction that the schema appears with.
    """
    connection = session.connection()
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


@cache
def _statements(dialect_name: str) -> tuple[str, ...]:
    statements: list[str] = []

    def note(element: ExecutableDDLElement, *_: Any, **__: Any) -> None:
        statements.append(str(element.compile(dialect=engine.dialect)))

    # It knows in which order tables stand that refer to each other.
    engine = create_mock_engine(f"{dialect_name}://", note)
    # Constraints of a circle remember that an ALTER made them: SQLite, which has none
    # for that, would leave them out of the tables.
    own = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(own)
    for made in (own, _REVISION.metadata):
        made.create_all(engine, checkfirst=False)
    guards = POSTGRESQL_GUARDS if dialect_name == "postgresql" else SQLITE_GUARDS
    stamp = f"INSERT INTO {_REVISION.name} (version_num) VALUES ('{HEAD}')"
    return (*statements, *guards, stamp)
