"""A registry whose verbs block until they are done."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self, TypeVar

from flwr_registry.registry.database.database import Database
from flwr_registry.registry.database.schema import open_schema
from flwr_registry.registry.opened_registry import OpenedRegistry
from flwr_registry.registry.steps import ByteWork, Reading, Step, Steps, Writing
from flwr_registry.storage import StorageBackend

__all__ = ["BlockingRegistry"]

Result = TypeVar("Result")


class BlockingRegistry(OpenedRegistry):
    """Runs the steps of each verb in the calling thread.

    Attributes
    ----------
    pending_writes : list of callable
        Each ends when what is being written here in the background is there; called
        before each verb.
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
        self.pending_writes: list[Callable[[], object]] = []
        self._database = Database(
            self._places.database,
            lock_timeout_seconds=lock_timeout_seconds,
            timeout_seconds=timeout_seconds,
        )
        try:
            open_schema(self._database, create=create)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close all connections to the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[Result]) -> Result:
        for wait in tuple(self.pending_writes):
            wait()
        try:
            step = next(steps)
            while True:
                try:
                    result = self._done(step)
                except BaseException as error:  # noqa: BLE001
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as finished:
            returned: Result = finished.value
            return returned

    def _done(self, step: Step) -> Any:
        match step:
            case Reading(work):
                return self._database.read(work)
            case Writing(work, _):
                return self._database.write(work)
            case ByteWork(work, _):
                return work()
