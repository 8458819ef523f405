"""Engines and transactions: one way to read, one way to write."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    QueuePool,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session

from flwr_registry.errors import DatabaseError
from flwr_registry.registry.database_errors import translated

__all__ = ["Database", "is_postgresql", "place_of"]

_BEGIN = "flwr_registry_begin"
# The drivers of an awaited registry have blocking twins.
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
}


class Database:
    """Transactions on one database.

    Parameters
    ----------
    url : sqlalchemy.URL
        Absolute; SQLite or PostgreSQL.
    lock_timeout_seconds : float
        How long a transaction waits for another one.

    Raises
    ------
    DatabaseError
        When the driver is not installed.
    """

    def __init__(self, url: URL, *, lock_timeout_seconds: float = 10.0) -> None:
        self.url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        self.place = place_of(self.url)
        self._lock_timeout_seconds = lock_timeout_seconds
        try:
            with translated(self.place):
                self._engine = self._make_engine()
        except ImportError as error:
            raise DatabaseError(
                f"the driver for {self.place} is missing: "
                "pip install 'flwr-registry[postgres]'"
            ) from error
        self._writer = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self._reader = self._engine
        if self.file is None:
            # So that all statements of a read see one state, as on SQLite.
            self._reader = self._engine.execution_options(
                isolation_level="REPEATABLE READ"
            )

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        on_file = self.url.get_backend_name() == "sqlite" and self.url.database
        return Path(on_file) if on_file else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a short transaction that sees one state of the database.

        Raises
        ------
        DatabaseError
            With the place, and what to do.
        """
        with (
            translated(self.place),
            Session(self._reader, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that may write, committed when the block ends well.

        Raises
        ------
        DatabaseError
            With the place, and what to do. Nothing was changed then, unless the
            connection broke during the commit.
        """
        with (
            translated(self.place),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            # Begins at once: what is read first cannot change before it is used.
            session.connection()
            self._limit_waiting(session)
            yield session

    def close(self) -> None:
        """Close the connections; the database can still be used, with new ones."""
        self._engine.dispose()

    def _limit_waiting(self, session: Session) -> None:
        if is_postgresql(session):
            limit = text("SELECT set_config('lock_timeout', :limit, true)")
            milliseconds = max(1, round(self._lock_timeout_seconds * 1000))
            session.execute(limit, {"limit": f"{milliseconds}ms"})

    def _make_engine(self) -> Engine:
        if self.file is None:
            return self._postgresql_engine()
        # mode=rw: a registry that was deleted is an error, never an empty new one.
        engine = create_engine(
            self.url.set(
                database=self.file.as_uri(), query={"mode": "rw", "uri": "true"}
            ),
            # Nothing stays open: safe after a fork, and no handle outlives its use.
            poolclass=NullPool,
            connect_args={"timeout": self._lock_timeout_seconds},
            **_ENGINE_OPTIONS,
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql_engine(self) -> Engine:
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_pre_ping=True,
            connect_args={"connect_timeout": max(2, round(self._lock_timeout_seconds))},
            **_ENGINE_OPTIONS,
        )
        event.listen(engine, "connect", _note_process)
        event.listen(engine, "checkout", _refuse_other_process)
        return engine


def is_postgresql(session: Session) -> bool:
    """Whether a session speaks to PostgreSQL."""
    return session.get_bind().dialect.name == "postgresql"


def place_of(url: URL) -> str:
    """Return the database as text, without any password."""
    hidden = {key: "***" for key in url.query if "password" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


_ENGINE_OPTIONS: dict[str, Any] = {"json_serializer": _dumps, "hide_parameters": True}


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy's begin event says BEGIN; the driver must not do so by itself.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
    # The default, DELETE, loses acknowledged commits at power loss; WAL was chosen by
    # the user and is durable with FULL.
    if mode not in {"truncate", "wal"}:
        cursor.execute("PRAGMA journal_mode=TRUNCATE")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get(_BEGIN, "BEGIN"))


def _note_process(_connection: object, record: Any) -> None:
    record.info["process"] = os.getpid()


def _refuse_other_process(_connection: object, record: Any, proxy: Any) -> None:
    if record.info["process"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None
        raise DisconnectionError("the connection belongs to the parent process")
