"""A run's hold on its own name: no other start writes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flwr_registry.checkpointing import RunLease, StorageLeases
from flwr_registry.errors import FencedError, StorageError
from flwr_registry.records import Lease
from flwr_registry.registry import DatabaseLeases, ModelRegistry
from flwr_registry.storage import StorageBackend
from flwr_registry.strategy.waiting import do_aloud

__all__ = ["RunHold"]


class RunHold:
    """The lease of one start, in storage and database.

    Parameters
    ----------
    run : str
        Name of the run.
    storage : StorageBackend
        Where its checkpoints lie.
    registry : callable
        Gives the registry where it is open, and raises DatabaseError where it is not.
    lease_seconds : float
        Without a renewal in that time another start may take the run over.
    """

    def __init__(
        self,
        run: str,
        storage: StorageBackend,
        registry: Callable[[], ModelRegistry],
        lease_seconds: float,
    ) -> None:
        self._run = run
        self._in_storage = StorageLeases(storage, run)
        self._in_database = DatabaseLeases(registry, run)
        stores = (self._in_storage, self._in_database)
        self._lease = RunLease(run, stores, lease_seconds=lease_seconds)

    @property
    def needs_own_folder(self) -> bool:
        """Whether the start before may wake up while this one writes a checkpoint."""
        return self._lease.may_meet_the_former

    @property
    def storage_answered(self) -> bool:
        """Whether the storage gave no trouble when the run was taken."""
        return not any(isinstance(e, StorageError) for e in self._lease.troubles)

    def take(self) -> list[Exception]:
        """Take the run; later calls change nothing.

        Returns
        -------
        list of Exception
            Trouble with a place that was done without.

        Raises
        ------
        RunHeldError
            When another start is at work.
        RegistryError
            When neither place answers: it is taken before the first commit then.
        """
        do_aloud(f"see who holds run {self._run}", self._lease.take)
        return self._lease.troubles

    @contextmanager
    def writing(self) -> Iterator[Lease]:
        """Let a block write what the database commits only for the newest start.

        Raises
        ------
        FencedError, RunHeldError, RegistryError
            When this is not the newest start.
        """
        self._lease.refuse_if_fenced()
        lease = self._lease.take()
        try:
            yield lease
        except FencedError as error:
            self._lease.note_fenced(error)
            raise

    def check_storage(self) -> None:
        """Refuse a commit to the storage when a newer start has the run.

        Raises
        ------
        FencedError, RunHeldError, RegistryError
            When this is not the newest start, or that cannot be seen.
        """
        self._lease.check(self._in_storage)

    def check_database(self) -> None:
        """Refuse a commit to the database, as `check_storage` does."""
        self._lease.check(self._in_database)

    def release(self) -> None:
        """Let the next start have the run at once."""
        self._lease.release()

    def withdraw(self) -> None:
        """Be as if this start, which wrote nothing, had never begun."""
        self._lease.withdraw()
