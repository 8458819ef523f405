"""Transactions that are awaited, on aiosqlite and asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from flwr_registry.bounded_calls import MOST_UNANSWERED
from flwr_registry.registry.database.database_errors import (
    driver_needed,
    sockets_translated,
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

__all__ = ["AsyncDatabase"]

Result = TypeVar("Result")

# How long a transaction that was given up may take to throw its connection away.
_GRACE_SECONDS = 0.5


class AsyncDatabase:
    """Transactions on one database, for one event loop.

    Each runs in a task that is awaited for only so long, also when it is cancelled.

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
            url, lock_timeout_seconds, timeout_seconds, awaited=True
        )
        with driver_needed(self.place):
            self._engine = create_async_engine(
                self._settings.engine_url, **self._settings.options
            )
        # Now the driver is imported, which may choose among hosts at random.
        give_own_generators()
        self._settings.listen(self._engine.sync_engine)
        self._connections: WeakSet[Any] = WeakSet()
        event.listen(self._engine.sync_engine, "connect", self._note_connection)
        self._writer = self._engine.execution_options(**WRITER_OPTIONS)
        self._reader = self._engine.execution_options(
            **READER_OPTIONS[url.get_backend_name()]
        )
        # An event loop itself holds tasks only weakly.
        self._unanswered: set[asyncio.Task[Any]] = set()

    async def read(self, work: Callable[[Session], Result]) -> Result:
        """Return what `work` finds in one state of the database.

        Raises
        ------
        DatabaseError
            With the place, and what to do.
        """
        return await self._within(
            self._reader, self._settings.transaction(writes=False), work
        )

    async def write(self, work: Callable[[Session], Result]) -> Result:
        """Return what `work` returns, once its transaction is committed.

        Raises
        ------
        DatabaseError
            With the place, and what to do. Nothing was changed then, unless the error
            says that it may have been.
        """

        def begun(session: Session) -> Result:
            self._settings.begin_writing(session, self._settings.timeout_seconds)
            return work(session)

        return await self._within(
            self._writer, self._settings.transaction(writes=True), begun
        )

    async def close(self) -> None:
        """Close the connections; the database can still be used, with new ones."""
        closing = asyncio.create_task(self._engine.dispose())
        closing.add_done_callback(_look_at_error)
        await asyncio.wait({closing}, timeout=self._settings.timeout_seconds)
        if not closing.done():
            for connection in tuple(self._connections):
                connection.terminate()
            await self._leave(closing)

    def _note_connection(self, _connection: object, record: Any) -> None:
        # aiosqlite's end by themselves; and no pool holds them.
        if self._settings.file is None:
            self._connections.add(record.driver_connection)

    async def _transacted(
        self,
        engine: AsyncEngine,
        transaction: Transaction,
        work: Callable[[Session], Result],
    ) -> Result:
        seconds = self._settings.timeout_seconds
        with (
            transaction.under_way(),
            sockets_translated(self.place, seconds, transaction),
            translated(self.place, seconds, transaction),
        ):
            async with AsyncSession(engine, expire_on_commit=False) as session:
                return await session.run_sync(transact, work, transaction)

    async def _within(
        self,
        engine: AsyncEngine,
        transaction: Transaction,
        work: Callable[[Session], Result],
    ) -> Result:
        seconds = self._settings.timeout_seconds
        if len(self._unanswered) >= MOST_UNANSWERED:
            why = f"{MOST_UNANSWERED} transactions are still unanswered"
            raise timed_out(self.place, seconds, why=why)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        task = loop.create_task(self._transacted(engine, transaction, work))
        task.add_done_callback(_look_at_error)
        ping = loop.call_later(self._settings.ping_seconds, transaction.give_up_ping)
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            transaction.give_up_before_commit()
            if not transaction.has_connection:
                task.cancel()
            try:
                # The undoing is waited for, as long as anything is.
                await asyncio.wait({task}, timeout=max(0.0, end - loop.time()))
            finally:
                await self._given_up(task, transaction)
            raise
        finally:
            ping.cancel()
        if await self._given_up(task, transaction):
            raise timed_out(self.place, seconds, transaction.may_have_committed)
        return task.result()

    async def _given_up(
        self, task: asyncio.Task[Any], transaction: Transaction
    ) -> bool:
        """Give a transaction up that has not ended; tell whether it had not."""
        if task.done():
            return False
        transaction.give_up()
        await self._leave(task)
        return True

    async def _leave(self, task: asyncio.Task[Any]) -> None:
        """Wait no longer for a task than it may take to throw connections away."""
        task.cancel()
        self._unanswered.add(task)
        task.add_done_callback(self._unanswered.discard)
        await asyncio.wait({task}, timeout=_GRACE_SECONDS)


def _look_at_error(task: asyncio.Task[Any]) -> None:
    """Keep asyncio from logging the error of a task that nobody waits for."""
    if not task.cancelled():
        task.exception()
