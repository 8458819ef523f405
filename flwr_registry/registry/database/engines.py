"""The settings of engines, alike for blocking and awaited drivers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, event, text
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.orm import Session

from flwr_registry.masking import MASK, is_secret_name
from flwr_registry.registry.database.transactions import (
    Transaction,
    current_transaction,
)

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
# Firewalls forget connections that were idle for some minutes.
_MOST_AGE_SECONDS = 180
_MOST_CONNECT_SECONDS = 10
# Some drivers count milliseconds in 32 bits, and cannot wait for infinity.
_MOST_SECONDS = 7 * 24 * 3600.0
_MOST_PING_SECONDS = 5

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
    timeout_seconds : float
        How long a transaction may take in all.
    """

    url: URL
    lock_timeout_seconds: float
    timeout_seconds: float

    @classmethod
    def of(
        cls,
        url: URL,
        lock_timeout_seconds: float,
        timeout_seconds: float,
        *,
        awaited: bool,
    ) -> EngineSettings:
        """Choose the driver for a URL that names the kind of database.

        Raises
        ------
        ValueError
            For a timeout that leaves no time.
        """
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds is {timeout_seconds}: give more than 0")
        driver = _DRIVERS[url.get_backend_name()][awaited]
        return cls(
            url.set(drivername=driver),
            lock_timeout_seconds,
            min(timeout_seconds, _MOST_SECONDS),
        )

    def transaction(self, *, writes: bool) -> Transaction:
        """Return a transaction that is about to begin."""
        return Transaction(self.url.get_driver_name(), writes=writes)

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
        options["pool_timeout"] = self.timeout_seconds
        options["pool_recycle"] = _MOST_AGE_SECONDS
        options["connect_args"] = self._server_arguments()
        return options

    @property
    def ping_seconds(self) -> float:
        """How long a connection that was idle may take to show that it lives."""
        return min(_MOST_PING_SECONDS, self.timeout_seconds / 4)

    def listen(self, engine: Engine) -> None:
        """Set up each connection and each transaction of an engine."""
        # First of all: what is asked of a new connection may not be answered either.
        event.listen(engine, "connect", _hold_new, insert=True)
        event.listen(engine, "checkin", _release)
        if self.file is not None:
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            event.listen(engine, "connect", _note_process)
            event.listen(engine, "checkout", _Checkout(engine))

    def begin_writing(self, session: Session, seconds: float) -> None:
        """Begin at once, so that what is read first cannot change before its use.

        The server ends it by itself when this process is gone, so that no lock stays.
        """
        session.connection()
        if is_postgresql(session):
            limits = {
                "lock_timeout": self.lock_timeout_seconds,
                "statement_timeout": seconds,
                "idle_in_transaction_session_timeout": seconds,
            }
            calls = (f"set_config('{name}', :{name}, true)" for name in limits)
            session.execute(
                text(f"SELECT {', '.join(calls)}"),
                {name: _milliseconds(limit) for name, limit in limits.items()},
            )

    def _server_arguments(self) -> dict[str, Any]:
        # Half, so that the second address of a host has its turn too.
        seconds = min(_MOST_CONNECT_SECONDS, self.timeout_seconds / 2)
        if self.url.get_driver_name() == "asyncpg":
            return {"timeout": seconds}
        arguments = {
            # libpq takes whole seconds, and 2 at the least.
            "connect_timeout": max(2, round(seconds)),
            "keepalives_idle": _MOST_AGE_SECONDS // 3,
            "tcp_user_timeout": max(1000, round(self.timeout_seconds * 500)),
        }
        return {
            name: value
            for name, value in arguments.items()
            if name not in self.url.query
        }


def is_postgresql(session: Session) -> bool:
    """Whether a session speaks to PostgreSQL."""
    return session.get_bind().dialect.name == "postgresql"


def place_of(url: URL) -> str:
    """Return the database as text, without any secret."""
    hidden = {key: MASK for key in url.query if is_secret_name(key)}
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


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _hold_new(connection: Any, record: Any) -> None:
    transaction = current_transaction()
    if transaction is None:
        return
    try:
        transaction.hold(record.driver_connection)
    except BaseException:
        # It was made too late, and no pool has it yet.
        connection.close()
        raise


def _release(_connection: object, _record: object) -> None:
    transaction = current_transaction()
    if transaction is not None:
        transaction.release()


def _note_process(_connection: object, record: Any) -> None:
    record.info["process"] = os.getpid()
    record.info["is_new"] = True


@dataclass(frozen=True)
class _Checkout:
    """What is done with a connection before a transaction has it.

    Not SQLAlchemy's ping before use: it comes before this event, so a child of a fork
    would talk on its parent's connection, and nothing could end a ping without answer.
    """

    engine: Engine

    def __call__(self, connection: Any, record: Any, proxy: Any) -> None:
        if record.info["process"] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DisconnectionError("the connection belongs to the parent process")
        transaction = current_transaction()
        if transaction is None:
            return
        transaction.hold(record.driver_connection)
        if record.info.pop("is_new", False):
            return
        dialect = self.engine.dialect
        with transaction.ping():
            try:
                dialect.do_ping(connection)
            except (dialect.loaded_dbapi.Error, OSError) as error:
                raise InvalidatePoolError("the connection is dead") from error
