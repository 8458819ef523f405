"""A registry whose verbs are awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
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

    Belongs to one event loop, as the connections of its drivers do. A verb that is
    cancelled ends the step that is under way and undoes what it began, first.
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
                opened, cancelled = await _ended(asyncio.to_thread(self._open_schema))
                opened.result()
                self._is_open = True
                if cancelled is not None:
                    raise cancelled

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
        cancelled: asyncio.CancelledError | None = None
        is_told = False
        try:
            step = next(steps)
            while True:
                if cancelled and not is_told and not _is_always_done(step):
                    is_told = True
                    step = steps.throw(cancelled)
                    continue
                done, again = await _ended(self._done(step), isinstance(step, Reading))
                cancelled = cancelled or again
                error = _error_of(done, cancelled)
                if error is not None:
                    is_told = is_told or error is cancelled
                    step = steps.throw(error)
                else:
                    step = steps.send(done.result())
        except StopIteration as finished:
            returned: Result = finished.value
        if cancelled is not None:
            raise cancelled
        return returned

    async def _done(self, step: Step) -> Any:
        match step:
            case Reading(work):
                return await self._database.read(work)
            case Writing(work, _):
                return await self._database.write(work)
            case ByteWork(work, _):
                return await asyncio.to_thread(work)


async def _ended(
    work: Coroutine[Any, Any, Result], may_break_off: bool = False
) -> tuple[asyncio.Task[Result], asyncio.CancelledError | None]:
    """Wait for the end of a step, also when cancelled: what it did has to be known.

    A thread cannot be stopped, a commit under way may be done or not, and what either
    writes must not appear after the undoing. All of them end within their deadlines.

    Parameters
    ----------
    may_break_off : bool
        The work changes nothing, and is given up when cancelled.
    """
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            if may_break_off:
                task.cancel()
    return task, cancelled


def _error_of(
    done: asyncio.Task[Any], cancelled: asyncio.CancelledError | None
) -> BaseException | None:
    """Return what a step failed with, or was broken off by."""
    if done.cancelled():
        return cancelled or asyncio.CancelledError()
    return done.exception()


def _is_always_done(step: Step) -> bool:
    return not isinstance(step, Reading) and step.always
