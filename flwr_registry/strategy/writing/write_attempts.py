"""What the writer does is done again while that may help."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flwr_registry.errors import (
    DatabaseError,
    DatabaseTimeoutError,
    ObjectNotFoundError,
    RegistryError,
    SchemaVersionError,
    StorageError,
    StorageTimeoutError,
)
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.strategy.waiting import without_exits
from flwr_registry.strategy.writing.background_writer import Awaited, BackgroundWriter
from flwr_registry.strategy.writing.breaker import Breaker
from flwr_registry.strategy.writing.trouble_log import (
    log_again,
    log_saved_by_trying,
    shown_round,
)

__all__ = ["Places", "WriteAttempts"]

Result = TypeVar("Result")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 15.0
_NEXT_MODEL_SECONDS = 2.0
_OTHERWISE_SECONDS = 10.0
_MISTAKES = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NameError,
    AssertionError,
    ImportError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run writes, each with its breaker."""

    storage: Breaker
    database: Breaker

    @property
    def both(self) -> tuple[Breaker, Breaker]:
        """The two."""
        return self.storage, self.database

    def note_stalled(self, error: Exception) -> None:
        """Note before the first round that a place did not answer in time."""
        for place in self.both:
            is_stalled = isinstance(error, DatabaseTimeoutError | StorageTimeoutError)
            if is_stalled and isinstance(error, place.error):
                place.note_failure(0, error)

    @property
    def any_down(self) -> bool:
        """Whether attempts on one of them were given up."""
        return self.storage.is_down or self.database.is_down


class WriteAttempts:
    """Does the work of the writer, again and again while that may help.

    An attempt that failed is repeated after a pause that grows. It is given up when
    somebody has waited for it for a while, and at once where the place is down. Each
    work must be such that doing it twice does no harm.

    Parameters
    ----------
    places : Places
        Their breakers.
    timeout_seconds : float
        Bounds how long work is repeated while somebody waits.

    Attributes
    ----------
    missing : list of int
        Rounds whose model could not be registered.
    """

    def __init__(
        self,
        tolerate: Tolerance,
        writer: BackgroundWriter,
        places: Places,
        timeout_seconds: float,
    ) -> None:
        self.places = places
        self.missing: list[int] = []
        self._tolerate = tolerate
        self._writer = writer
        self._timeout_seconds = timeout_seconds

    def __call__(
        self,
        action: str,
        work: Callable[[], Result],
        needs: Sequence[Breaker],
        server_round: int,
    ) -> Result | None:
        """Do what training must survive; None when it was given up.

        Parameters
        ----------
        action : str
            What the work does, to complete "could not".
        needs : sequence of Breaker
            The places that the work needs.
        server_round : int
            The round that it belongs to; 0 before the first.
        """
        with self._tolerate(action):
            return self.until_done(action, work, needs, server_round)
        return None

    def until_done(
        self,
        action: str,
        work: Callable[[], Result],
        needs: Sequence[Breaker],
        server_round: int,
    ) -> Result:
        """Do what a call does, and raise the error for which it was given up."""
        began, tries, first = time.monotonic(), 0, ""
        while True:
            try:
                _check_admitted(needs, server_round)
                tries += 1
                result = without_exits(work)
            except Exception as error:
                first = first or str(error)
                if _is_lasting(error):
                    raise
                if self._is_over(error, began, tries, needs, server_round):
                    raise
                if tries == 1:
                    log_again(action, error)
            else:
                for place in needs:
                    place.note_success(server_round, self.missing)
                if first:
                    log_saved_by_trying(action, tries, first)
                return result
            pause = _FIRST_PAUSE_SECONDS * 2 ** min(tries, 10)
            self._writer.pause(min(pause, _LONGEST_PAUSE_SECONDS))

    def _is_over(
        self,
        error: Exception,
        began: float,
        tries: int,
        needs: Sequence[Breaker],
        server_round: int,
    ) -> bool:
        """Tell whether to give up, after an attempt that failed."""
        awaited = self._writer.awaited
        was_down = any(place.is_down for place in needs)
        limit = min(_OTHERWISE_SECONDS, self._timeout_seconds)
        if awaited is not Awaited.BY_ALL_ELSE and tries > 1:
            limit = min(limit, _NEXT_MODEL_SECONDS)
        if time.monotonic() - began >= limit:
            _blamed(error, needs).note_failure(server_round, error)
            was_down = True
        return was_down and awaited is not Awaited.BY_NOBODY


def _check_admitted(needs: Sequence[Breaker], server_round: int) -> None:
    for place in needs:
        if not place.admits(server_round):
            raise place.error(
                f"the {place.name} is down since {shown_round(place.since)}: "
                f"{place.trouble}"
            )


def _is_lasting(error: Exception) -> bool:
    """Tell whether trying again cannot help."""
    if isinstance(error, StorageError | DatabaseError):
        return isinstance(error, SchemaVersionError | ObjectNotFoundError)
    return isinstance(error, (RegistryError, *_MISTAKES))


def _blamed(error: Exception, needs: Sequence[Breaker]) -> Breaker:
    """Return the place that an error came from, as far as that can be told."""
    for place in needs:
        if isinstance(error, place.error):
            return place
    return needs[0]
