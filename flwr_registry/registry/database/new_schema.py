"""The schema of this release in one step, for a database that has none yet.

The migrations arrive at the same schema; a test holds the two together.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import create_mock_engine
from sqlalchemy.orm import Session
from sqlalchemy.schema import ExecutableDDLElement

from flwr_registry.registry.database.migrations import HEAD
from flwr_registry.registry.database.migrations.audit_guards import (
    POSTGRESQL_GUARDS,
    SQLITE_GUARDS,
)
from flwr_registry.registry.rows.registry_db import metadata

__all__ = ["create_schema"]

# In Alembic's own words, so that it goes on from here.
_STAMP = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",
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
    metadata.create_all(engine, checkfirst=False)
    guards = POSTGRESQL_GUARDS if dialect_name == "postgresql" else SQLITE_GUARDS
    return (*statements, *guards, *_STAMP)
