"""One run, one writer: a lease that a start takes, renews and gives back."""

from __future__ import annotations

import gc
import threading
import uuid
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from flwr_registry.checkpointing.lease_holder import is_this_process, this_process
from flwr_registry.checkpointing.lease_store import LeaseStore, newest_lease
from flwr_registry.checkpointing.lease_watch import refuse, wait_for_end_of
from flwr_registry.errors import FencedError, RunHeldError
from flwr_registry.records import Lease, LeaseHolder
from flwr_registry.shown_text import OneLineLogger

__all__ = ["RunLease"]

_LOGGER = OneLineLogger("flwr")
_RENEWALS_IN_A_LEASE = 3
_ATTEMPTS = 10

_of_this_process: weakref.WeakValueDictionary[str, RunLease] = (
    weakref.WeakValueDictionary()
)


class RunLease:
    """The hold of one start on its run, in one place or more.

    No clock is compared with that of another machine: whoever wants the run watches,
    by its own clock, whether the holder's count of renewals rises.

    Parameters
    ----------
    run : str
        Name of the run.
    stores : sequence of LeaseStore
        Where the lease is written down, always in the same order. One that fails is
        done without, as long as another one answers.
    lease_seconds : float
        Without a renewal in that time another start may take the run over.
    holder : LeaseHolder, optional
        By default this process.

    Attributes
    ----------
    may_meet_the_former : bool
        The start that held the run before only fell silent. It may wake up in the
        middle of writing a file, so it and this one must not write the same ones.
    troubles : list of Exception
        With places that were done without when the run was taken.
    """

    def __init__(
        self,
        run: str,
        stores: Sequence[LeaseStore],
        *,
        lease_seconds: float = 30.0,
        holder: LeaseHolder | None = None,
    ) -> None:
        self._run = run
        self._stores = tuple(stores)
        self._lease_seconds = lease_seconds
        self._holder = holder or this_process()
        self._owner = threading.current_thread()
        self._taking = threading.RLock()
        self._lease: Lease | None = None
        self._fence: FencedError | None = None
        self._is_over = threading.Event()
        self._is_given_up = False
        self.may_meet_the_former = False
        self.troubles: list[Exception] = []

    @property
    def lease(self) -> Lease | None:
        """What was taken; None before."""
        return self._lease

    def take(self) -> Lease:
        """Take the run, or say who has it; taken once, it is kept.

        Raises
        ------
        RunHeldError
            When another start is at work.
        RegistryError
            When no place answers.
        """
        with self._taking:
            if self._lease is None:
                self._lease = self._taken()
            return self._lease

    def check(self, store: LeaseStore) -> Lease:
        """Let the start commit in a place, unless a newer start has the run.

        Raises
        ------
        FencedError
            When one has.
        RunHeldError, RegistryError
            As `take` does, when the run could not be taken before.
        """
        self.refuse_if_fenced()
        lease = self.take()
        newest = store.newest()
        if newest is None or newest.start_number < lease.start_number:
            # The place did not answer when the run began.
            if store.claim(lease):
                return lease
            newest = store.newest()
        if newest is not None and lease.is_before(newest):
            raise self.note_fenced(_fence(lease, newest))
        return lease

    def refuse_if_fenced(self) -> None:
        """Raise when it is known that a newer start has the run.

        Raises
        ------
        FencedError
            Saying which.
        """
        known = self._fence
        if known is not None:
            # A new one: each raise adds to the traceback of an error.
            number = known.start_number
            raise FencedError(str(known), run=self._run, start_number=number)

    def note_fenced(self, error: FencedError) -> FencedError:
        """Know from now on that a newer start has the run; return the error."""
        self._fence = self._fence or error
        return error

    def release(self) -> None:
        """Let others have the run at once; what fails is left to the lease's end."""
        self._give_up(lambda store, lease: store.release(lease))

    def withdraw(self) -> None:
        """Be as if this start, which wrote nothing, had never taken the run."""
        self._give_up(lambda store, lease: store.withdraw(lease))

    def _give_up(self, give_up_in: Callable[[LeaseStore, Lease], None]) -> None:
        self._is_over.set()
        lease = self._lease
        if lease is None or self._fence is not None or self._is_given_up:
            return
        self._is_given_up = True
        for store in self._stores:
            try:
                give_up_in(store, lease)
            except Exception as error:  # noqa: BLE001
                _LOGGER.debug("registry: run %s is not released: %s", self._run, error)

    def _taken(self) -> Lease:
        for _ in range(_ATTEMPTS):
            newest, stores, self.troubles = newest_lease(self._stores)
            if newest is None or newest.released:
                pass
            elif is_this_process(newest.holder, self._holder):
                self._see_that_it_is_over_here(newest)
            else:
                is_gone = wait_for_end_of(newest, stores, self._holder)
                self.may_meet_the_former = not is_gone
            lease = self._claimed(newest.start_number + 1 if newest else 1, stores)
            if lease is not None:
                self._keep(lease)
                return lease
        raise RunHeldError(
            f"run {self._run} cannot be taken: other starts were faster each time",
            run=self._run,
            start_number=0,
        )

    def _see_that_it_is_over_here(self, held: Lease) -> None:
        other = _of_this_process.get(held.token)
        if other is not None and not other._is_abandoned(self._owner):
            # A strategy that nobody holds any more may be part of a cycle.
            del other
            gc.collect()
            other = _of_this_process.get(held.token)
            if other is not None and not other._is_abandoned(self._owner):
                refuse(held, "in another thread of this very process")
        _LOGGER.info(
            "registry: run %s was held by an earlier start of this process, which is "
            "over: this start takes it over",
            self._run,
        )

    def _is_abandoned(self, owner: threading.Thread) -> bool:
        """Tell whether the thread that began the run has ended, or begins another."""
        return self._owner is owner or not self._owner.is_alive()

    def _claimed(self, start_number: int, stores: Sequence[LeaseStore]) -> Lease | None:
        """Take a number in each place that answers; None when another was faster."""
        lease = Lease(
            run=self._run,
            start_number=start_number,
            token=uuid.uuid4().hex,
            holder=self._holder,
            since=datetime.now(UTC),
            lease_seconds=self._lease_seconds,
        )
        # Before any other thread can see the lease, and ask whose it is.
        _of_this_process[lease.token] = self
        claimed: list[LeaseStore] = []
        errors: list[Exception] = []
        for store in stores:
            try:
                is_ours = store.claim(lease)
            except Exception as error:  # noqa: BLE001
                errors.append(error)
                continue
            if not is_ours:
                for each in claimed:
                    # Should that fail, it is left to the lease's end.
                    with suppress(Exception):
                        each.withdraw(lease)
                return None
            claimed.append(store)
        if not claimed:
            raise errors[0]
        return lease

    def _keep(self, lease: Lease) -> None:
        """Renew the lease beside training, as long as anybody holds this object."""
        is_over = self._is_over
        threading.Thread(
            target=_renew,
            args=(weakref.ref(self, lambda _: is_over.set()), is_over, lease),
            name="flwr-registry-lease",
            daemon=True,
        ).start()

    def _renew(self, lease: Lease) -> None:
        """Say that the holder lives, and look whether a newer start has the run."""
        if not self._owner.is_alive():
            self.release()
            return
        errors: list[Exception] = []
        for store in self._stores:
            try:
                self.check(store)
                store.renew(lease)
            except FencedError:
                raise
            except Exception as error:  # noqa: BLE001
                errors.append(error)
        if len(errors) == len(self._stores):
            raise errors[0]


def _fence(lease: Lease, newest: Lease) -> FencedError:
    return FencedError(
        f"run {lease.run} was taken over by {newest}: start {lease.start_number}, "
        "which is this one, writes nothing any more",
        run=lease.run,
        start_number=newest.start_number,
    )


def _renew(
    reference: weakref.ref[RunLease], is_over: threading.Event, lease: Lease
) -> None:
    is_in_trouble = False
    while not is_over.wait(lease.lease_seconds / _RENEWALS_IN_A_LEASE):
        held = reference()
        if held is None:
            return
        lease = replace(lease, renewals=lease.renewals + 1)
        try:
            held._renew(lease)
            is_in_trouble = False
        except FencedError:
            return
        except Exception as error:  # noqa: BLE001
            if not is_in_trouble:
                _LOGGER.warning(
                    "registry: the lease of run %s could not be renewed (%s): after "
                    "%g s without renewal another start may take the run over",
                    lease.run,
                    error,
                    lease.lease_seconds,
                )
            is_in_trouble = True
        del held
