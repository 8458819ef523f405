"""Transactions that block: one way to read, one way to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session

from flwr_registry.registry.database.database_errors import driver_needed, translated
from flwr_registry.registry.database.engines import (
    READER_OPTIONS,
    WRITER_OPTIONS,
    EngineSettings,
    place_of,
)

__all__ = ["Database"]


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
        self.place = place_of(url)
        self._settings = EngineSettings.of(url, lock_timeout_seconds, awaited=False)
        with driver_needed(self.place):
            self._engine = create_engine(
                self._settings.engine_url, **self._settings.options
            )
        self._settings.listen(self._engine)
        self._writer = self._engine.execution_options(**WRITER_OPTIONS)
        self._reader = self._engine.execution_options(
            **READER_OPTIONS[url.get_backend_name()]
        )

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        return self._settings.file

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
            self._settings.begin_writing(session)
            yield session

    def close(self) -> None:
        """Close the connections; the database can still be used, with new ones."""
        self._engine.dispose()
