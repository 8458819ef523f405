"""Transactions that are awaited, on aiosqlite and asyncpg."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from flwr_registry.errors import DatabaseError
from flwr_registry.registry.database.database_errors import driver_needed, translated
from flwr_registry.registry.database.engines import (
    READER_OPTIONS,
    WRITER_OPTIONS,
    EngineSettings,
    place_of,
)

__all__ = ["AsyncDatabase"]

Result = TypeVar("Result")


class AsyncDatabase:
    """Transactions on one database, for one event loop.

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
        self._settings = EngineSettings.of(url, lock_timeout_seconds, awaited=True)
        with driver_needed(self.place):
            self._engine = create_async_engine(
                self._settings.engine_url, **self._settings.options
            )
        self._settings.listen(self._engine.sync_engine)
        self._writer = self._engine.execution_options(**WRITER_OPTIONS)
        self._reader = self._engine.execution_options(
            **READER_OPTIONS[url.get_backend_name()]
        )

    async def read(self, work: Callable[[Session], Result]) -> Result:
        """Return what `work` finds in one state of the database.

        Raises
        ------
        DatabaseError
            With the place, and what to do.
        """
        return await self._transact(self._reader, work)

    async def write(self, work: Callable[[Session], Result]) -> Result:
        """Return what `work` returns, once its transaction is committed.

        Raises
        ------
        DatabaseError
            With the place, and what to do. Nothing was changed then, unless the
            connection broke during the commit.
        """

        def begun(session: Session) -> Result:
            self._settings.begin_writing(session)
            return work(session)

        return await self._transact(self._writer, begun)

    async def close(self) -> None:
        """Close the connections; the database can still be used, with new ones."""
        await self._engine.dispose()

    async def _transact(
        self, engine: AsyncEngine, work: Callable[[Session], Result]
    ) -> Result:
        try:
            with translated(self.place):
                async with (
                    AsyncSession(engine, expire_on_commit=False) as session,
                    session.begin(),
                ):
                    return await session.run_sync(work)
        except OSError as error:
            # asyncpg lets the errors of sockets through as they are.
            raise DatabaseError(
                f"the database {self.place} cannot be reached: check the server, the "
                f"network and the URL ({error})"
            ) from error
