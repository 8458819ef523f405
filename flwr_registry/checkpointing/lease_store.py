"""The seam to the places where leases are written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

from flwr_registry.records import Lease

__all__ = ["LeaseStore", "Seen", "newest_lease", "newest_of"]


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

    def withdraw(self, lease: Lease) -> None:
        """Undo the claim of a start that wrote nothing, and never will."""


class Seen(NamedTuple):
    """What several places tell.

    Attributes
    ----------
    newest : Lease or None
        The newest lease, None before the first.
    answering : list of LeaseStore
        Those that answered.
    troubles : list of Exception
        What the others raised.
    """

    newest: Lease | None
    answering: list[LeaseStore]
    troubles: list[Exception]


def newest_lease(stores: Sequence[LeaseStore]) -> Seen:
    """Look for the newest lease in several places.

    Raises
    ------
    Exception
        What the first of them raised, when none answers.
    """
    found: list[Lease | None] = []
    answering: list[LeaseStore] = []
    errors: list[Exception] = []
    for store in stores:
        try:
            found.append(store.newest())
            answering.append(store)
        except Exception as error:  # noqa: BLE001
            errors.append(error)
    if not answering:
        raise errors[0]
    return Seen(newest_of(found), answering, errors)


def newest_of(leases: Iterable[Lease | None]) -> Lease | None:
    """Join what several places tell of the newest lease; None when none knows one."""
    found = [each for each in leases if each is not None]
    if not found:
        return None
    last = max(found, key=lambda each: each.start_number)
    same = [each for each in found if each.token == last.token]
    return replace(
        last,
        renewals=max(each.renewals for each in same),
        released=any(each.released for each in same),
    )
