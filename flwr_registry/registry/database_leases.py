"""The leases of one run as rows of a registry's database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flwr_registry.records import Lease, check_name
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.database.database import Database
from flwr_registry.registry.versions.run_leases import (
    claim_lease,
    find_lease,
    release_lease,
    renew_lease,
    withdraw_lease,
)

__all__ = ["DatabaseLeases"]


class DatabaseLeases:
    """The starts of one run, each a row that stays.

    What is written for a run in the background is not waited for: it may be what the
    lease is renewed beside.

    Parameters
    ----------
    opened : callable
        Gives the registry, which may not be opened yet; its errors are let through.
    run : str
        Name of the run.

    Raises
    ------
    InvalidNameError
        When `run` is no name.
    """

    def __init__(self, opened: Callable[[], BlockingRegistry], run: str) -> None:
        self._opened = opened
        self._run = check_name(run, "run")

    def newest(self) -> Lease | None:
        """Return the lease with the highest number; None before the first."""
        return self._database.read(partial(find_lease, run=self._run))

    def claim(self, lease: Lease) -> bool:
        """Take a start number; False when it, or a higher one, is another start's."""
        return self._database.write(partial(claim_lease, lease=lease))

    def renew(self, lease: Lease) -> None:
        """Write down how often the holder said that it lives."""
        self._database.write(partial(renew_lease, lease=lease))

    def release(self, lease: Lease) -> None:
        """Let the next start take the run without waiting."""
        self._database.write(partial(release_lease, lease=lease))

    def withdraw(self, lease: Lease) -> None:
        """Undo the claim of a start that wrote nothing, and never will."""
        self._database.write(partial(withdraw_lease, lease=lease))

    @property
    def _database(self) -> Database:
        return self._opened()._database
