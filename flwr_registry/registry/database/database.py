"""Transactions that block: one way to read, one way to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.orm import Session

from flwr_registry.bounded_calls import BoundedCalls, UnansweredCall
from flwr_registry.registry.database.database_errors import (
    driver_needed,
    timed_out,
    translated,
)
from flwr_registry.registry.database.engines import (
    READER_OPTIONS,
    WRITER_OPTIONS,
    EngineSettings,
    place_of,
)
from flwr_registry.registry.database.transactions import Transaction, transact
from flwr_registry.storage.private_random import give_own_generators

__all__ = ["Database"]

Result = TypeVar("Result")


class Database:
    """Transactions on one database.

    Each runs in a thread that is waited for only so long: no driver can hold the caller
    for longer, whatever it waits for.

    Parameters
    ----------
    url : sqlalchemy.URL
        Absolute; SQLite or PostgreSQL.
    lock_timeout_seconds : float
        How long a transaction waits for another one.
    timeout_seconds : float
        How long a transaction may take in all, connecting and committing included.

    Raises
    ------
    DatabaseError
        When the driver is not installed.
    """

    def __init__(
        self,
        url: URL,
        *,
        lock_timeout_seconds: float = 10.0,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.place = place_of(url)
        self._settings = EngineSettings.of(
            url, lock_timeout_seconds, timeout_seconds, awaited=False
        )
        with driver_needed(self.place):
            self._engine = create_engine(
                self._settings.engine_url, **self._settings.options
            )
        # Now the driver is imported, which may choose among hosts at random.
        give_own_generators()
        self._settings.listen(self._engine)
        self._writer = self._engine.execution_options(**WRITER_OPTIONS)
        self._reader = self._engine.execution_options(
            **READER_OPTIONS[url.get_backend_name()]
        )
        self._calls = BoundedCalls("flwr-registry-database")

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        return self._settings.file

    def read(self, work: Callable[[Session], Result]) -> Result:
        """Return what `work` finds in one state of the database.

        Raises
        ------
        DatabaseError
            With the place, and what to do.
        """
        return self._within(
            self._settings.timeout_seconds,
            self._reader,
            self._settings.transaction(writes=False),
            work,
        )

    def write(
        self,
        work: Callable[[Session], Result],
        *,
        timeout_seconds: float | None = None,
    ) -> Result:
        """Return what `work` returns, once its transaction is committed.

        Parameters
        ----------
        work : callable
            Runs in another thread.
        timeout_seconds : float, optional
            For this transaction, instead of the database's.

        Raises
        ------
        DatabaseError
            With the place, and what to do. Nothing was changed then, unless the error
            says that it may have been.
        """
        seconds = timeout_seconds or self._settings.timeout_seconds

        def begun(session: Session) -> Result:
            self._settings.begin_writing(session, seconds)
            return work(session)

        transaction = self._settings.transaction(writes=True)
        return self._within(seconds, self._writer, transaction, begun)

    def close(self) -> None:
        """Close the connections; the database can still be used, with new ones."""
        # Those that a server does not let go end with this process.
        with suppress(UnansweredCall):
            self._calls.run(
                self._engine.dispose, [self._settings.timeout_seconds], lambda: None
            )

    def _within(
        self,
        seconds: float,
        engine: Engine,
        transaction: Transaction,
        work: Callable[[Session], Result],
    ) -> Result:
        def transacted() -> Result:
            with (
                transaction.under_way(),
                translated(self.place, seconds, transaction),
                Session(engine, expire_on_commit=False) as session,
            ):
                return transact(session, work, transaction)

        def waits() -> Iterator[float]:
            ping_seconds = min(self._settings.ping_seconds, seconds)
            yield ping_seconds
            transaction.give_up_ping()
            yield seconds - ping_seconds

        try:
            return self._calls.run(transacted, waits(), transaction.give_up)
        except UnansweredCall as error:
            raise timed_out(
                self.place, seconds, transaction.may_have_committed, str(error)
            ) from None
