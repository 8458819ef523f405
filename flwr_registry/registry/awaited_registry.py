"""A registry whose verbs are awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, Self, TypeVar

from flwr_registry.registry.database.async_database import AsyncDatabase
from flwr_registry.registry.database.database import Database
from flwr_registry.registry.database.schema import open_schema
from flwr_registry.registry.opened_registry import OpenedRegistry
from flwr_registry.registry.steps import ByteWork, Reading, Step, Steps, Writing
from flwr_registry.storage import StorageBackend

__all__ = ["AwaitedRegistry"]

Result = TypeVar("Result")


class AwaitedRegistry(OpenedRegistry):
    """Runs the steps of each verb on an event loop, its byte work in threads.

    Belongs to one event loop, as the connections of its drivers do.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        storage: str | os.PathLike[str] | StorageBackend | None = None,
        *,
        lock_timeout_seconds: float = 10.0,
        timeout_seconds: float = 60.0,
        create: bool = True,
        node_key: str | None = None,
    ) -> None:
        super().__init__(
            url,
            storage,
            lock_timeout_seconds=lock_timeout_seconds,
            timeout_seconds=timeout_seconds,
            create=create,
            node_key=node_key,
        )
        self._database = AsyncDatabase(
            self._places.database,
            lock_timeout_seconds=lock_timeout_seconds,
            timeout_seconds=timeout_seconds,
        )
        self._opening = asyncio.Lock()
        self._is_open = False

    async def close(self) -> None:
        """Close all connections to the database."""
        await self._database.close()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _open(self) -> None:
        """Check or make the schema before the first verb; no constructor can wait."""
        async with self._opening:
            if not self._is_open:
                await _in_thread(self._open_schema)
                self._is_open = True

    def _open_schema(self) -> None:
        database = Database(
            self._places.database,
            lock_timeout_seconds=self._lock_timeout_seconds,
            timeout_seconds=self._timeout_seconds,
        )
        try:
            open_schema(database, create=self._create)
        finally:
            database.close()

    async def _run(self, steps: Steps[Result]) -> Result:
        if not self._is_open:
            await self._open()
        try:
            step = next(steps)
            while True:
                try:
                    result = await self._done(step)
                except BaseException as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as finished:
            returned: Result = finished.value
            return returned

    async def _done(self, step: Step) -> Any:
        match step:
            case Reading(work):
                return await self._database.read(work)
            case Writing(work):
                return await self._database.write(work)
            case ByteWork(work):
                return await _in_thread(work)


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread; when cancelled, wait for its end before saying so.

    A thread cannot be stopped, and what it writes must not appear after the undoing.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
