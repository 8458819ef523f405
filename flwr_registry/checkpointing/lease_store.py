"""The seam to the places where leases are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from flwr_registry.records import Lease

__all__ = ["LeaseStore", "newest_lease"]


@runtime_checkable
class LeaseStore(Protocol):
    """A place where the starts of one run are written down, seen by all machines."""

    def newest(self) -> Lease | None:
        """Return the lease with the highest start number; None before the first."""

    def claim(self, lease: Lease) -> bool:
        """Take a start number; False when it, or a higher one, is another start's.

        Asked again for a lease that is there, it says True.
        """

    def renew(self, lease: Lease) -> None:
        """Write down how often the holder said that it lives."""

    def release(self, lease: Lease) -> None:
        """Let the next start take the run without waiting."""


def newest_lease(
    stores: Sequence[LeaseStore],
) -> tuple[Lease | None, list[LeaseStore]]:
    """Return the newest lease of several places, and the places that answered.

    Raises
    ------
    Exception
        What the first of them raised, when none answers.
    """
    found: list[Lease] = []
    answering: list[LeaseStore] = []
    errors: list[Exception] = []
    for store in stores:
        try:
            newest = store.newest()
        except Exception as error:
            errors.append(error)
            continue
        answering.append(store)
        if newest is not None:
            found.append(newest)
    if not answering:
        raise errors[0]
    if not found:
        return None, answering
    last = max(found, key=lambda each: each.start_number)
    same = [each for each in found if each.token == last.token]
    renewals = max(each.renewals for each in same)
    released = any(each.released for each in same)
    return replace(last, renewals=renewals, released=released), answering
