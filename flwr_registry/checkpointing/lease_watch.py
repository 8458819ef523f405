"""Whether the holder of a lease lives: by its process here, by its renewals elsewhere.

No clock is compared with that of another machine: whoever wants the run watches, by its
own clock, whether the holder's count of renewals rises.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

from flwr_registry.checkpointing.lease_holder import has_ended
from flwr_registry.checkpointing.lease_store import LeaseStore, newest_lease
from flwr_registry.errors import RunHeldError
from flwr_registry.records import Lease, LeaseHolder
from flwr_registry.shown_text import OneLineLogger

__all__ = ["refuse", "wait_for_end_of"]

_LOGGER = OneLineLogger("flwr")
_MOST_SECONDS_BETWEEN_LOOKS = 1.0


def wait_for_end_of(
    held: Lease, stores: Sequence[LeaseStore], here: LeaseHolder
) -> bool:
    """Return when the holder is dead, gives the run back, or does not stir.

    Parameters
    ----------
    here : LeaseHolder
        The process that wants the run.

    Returns
    -------
    bool
        False when it may only be paused, or cut off.

    Raises
    ------
    RunHeldError
        When the holder lives.
    """
    if has_ended(held.holder, here):
        _LOGGER.info(
            "registry: run %s was held by %s; that process is dead, so this start "
            "takes the run over",
            held.run,
            held,
        )
        return True
    _LOGGER.warning(
        "registry: run %s is held by %s. Waiting up to %g s for a sign of life: "
        "without one this start takes the run over. 'flwr-registry run release %s' "
        "frees it at once.",
        held.run,
        held,
        held.lease_seconds,
        held.run,
    )
    if _is_freed_in_time(held, stores, here):
        return True
    _LOGGER.warning(
        "registry: run %s was held by %s, which gave no sign of life for %g s: this "
        "start takes the run over",
        held.run,
        held,
        held.lease_seconds,
    )
    return False


def _is_freed_in_time(
    held: Lease, stores: Sequence[LeaseStore], here: LeaseHolder
) -> bool:
    end = time.monotonic() + held.lease_seconds
    pause = min(_MOST_SECONDS_BETWEEN_LOOKS, held.lease_seconds / 10)
    while time.monotonic() < end:
        time.sleep(pause)
        try:
            now = newest_lease(stores).newest
        except Exception:  # noqa: BLE001, S112
            # Whether it lives cannot be seen for now.
            continue
        if now is None or now.released or has_ended(now.holder, here):
            return True
        if held.is_before(now):
            refuse(now, "which has just begun")
        if now.renewals > held.renewals:
            refuse(now, "which is alive")
    return False


def refuse(held: Lease, why: str) -> NoReturn:
    """Say that a run is held, and what can be done.

    Raises
    ------
    RunHeldError
        In any case.
    """
    raise RunHeldError(
        f"run {held.run} is held by {held}, {why}: two starts of one run must not "
        "write at the same time. Let it end, choose another run name, or free the run "
        f"with 'flwr-registry run release {held.run}'",
        run=held.run,
        start_number=held.start_number,
    )
