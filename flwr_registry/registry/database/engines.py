"""The settings of engines, alike for blocking and awaited drivers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session

__all__ = [
    "READER_OPTIONS",
    "WRITER_OPTIONS",
    "EngineSettings",
    "is_postgresql",
    "place_of",
]

_BEGIN = "flwr_registry_begin"
# SQLAlchemy's names of the drivers: blocking, awaited.
_DRIVERS = {
    "sqlite": ("sqlite", "sqlite+aiosqlite"),
    "postgresql": ("postgresql+psycopg", "postgresql+asyncpg"),
}
_SERVER_TIMEOUT = {"psycopg": "connect_timeout", "asyncpg": "timeout"}

WRITER_OPTIONS: dict[str, Any] = {_BEGIN: "BEGIN IMMEDIATE"}
# So that all statements of a read see one state, as on SQLite.
READER_OPTIONS: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine for one database is made with.

    Attributes
    ----------
    url : sqlalchemy.URL
        With the driver to use.
    lock_timeout_seconds : float
        How long a transaction waits for another one.
    """

    url: URL
    lock_timeout_seconds: float

    @classmethod
    def of(
        cls, url: URL, lock_timeout_seconds: float, *, awaited: bool
    ) -> EngineSettings:
        """Choose the driver for a URL that names the kind of database."""
        driver = _DRIVERS[url.get_backend_name()][awaited]
        return cls(url.set(drivername=driver), lock_timeout_seconds)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        on_file = self.url.get_backend_name() == "sqlite" and self.url.database
        return Path(on_file) if on_file else None

    @property
    def engine_url(self) -> URL:
        """The URL to give to an engine."""
        if self.file is None:
            return self.url
        # mode=rw: a registry that was deleted is an error, never an empty new one.
        return self.url.set(
            database=self.file.as_uri(), query={"mode": "rw", "uri": "true"}
        )

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for an engine."""
        options: dict[str, Any] = {"json_serializer": _dumps, "hide_parameters": True}
        if self.file is not None:
            # Nothing stays open: safe after a fork, and no handle outlives its use.
            options["poolclass"] = NullPool
            options["connect_args"] = {"timeout": self.lock_timeout_seconds}
            return options
        argument = _SERVER_TIMEOUT[self.url.get_driver_name()]
        seconds = max(2, round(self.lock_timeout_seconds))
        options |= {"pool_pre_ping": True, "connect_args": {argument: seconds}}
        return options

    def listen(self, engine: Engine) -> None:
        """Set up each connection and each transaction of an engine."""
        if self.file is not None:
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            event.listen(engine, "connect", _note_process)
            event.listen(engine, "checkout", _refuse_other_process)

    def begin_writing(self, session: Session) -> None:
        """Begin at once, so that what is read first cannot change before its use."""
        session.connection()
        if is_postgresql(session):
            limit = text("SELECT set_config('lock_timeout', :limit, true)")
            milliseconds = max(1, round(self.lock_timeout_seconds * 1000))
            session.execute(limit, {"limit": f"{milliseconds}ms"})


def is_postgresql(session: Session) -> bool:
    """Whether a session speaks to PostgreSQL."""
    return session.get_bind().dialect.name == "postgresql"


def place_of(url: URL) -> str:
    """Return the database as text, without any password."""
    hidden = {key: "***" for key in url.query if "password" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy's begin event says BEGIN; the driver must not do so by itself.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA journal_mode")
    (mode,) = cursor.fetchone()
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
