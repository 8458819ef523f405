"""Handing what a round gives to the writer, without ever waiting for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flwr_registry.errors import WriteTimeoutError
from flwr_registry.strategy.round_log import log_wait
from flwr_registry.strategy.tolerance import LOGGER, Tolerance
from flwr_registry.strategy.writing.background_writer import (
    Awaited,
    BackgroundWriter,
    Job,
)

__all__ = ["HandOver"]

Result = TypeVar("Result")

_BRIEF_SECONDS = 1.0
_LAST_SECONDS = 10.0
_NOTABLE_SECONDS = 0.1


class HandOver:
    """Gives jobs to the writer and waits for them, each wait with an end.

    A round's model is handed over when the round before is written, so that no more
    than two are held. When that takes longer than a wait may, the round is left out:
    jobs that hold a model are not handed over for it.

    Parameters
    ----------
    any_down : callable
        Tells whether storage or database is down: then waits are brief.
    waits_for_each : bool
        Each job is waited for.
    """

    def __init__(
        self,
        writer: BackgroundWriter,
        tolerate: Tolerance,
        any_down: Callable[[], bool],
        *,
        waits_for_each: bool,
    ) -> None:
        self._writer = writer
        self._tolerate = tolerate
        self._any_down = any_down
        self._waits_for_each = waits_for_each
        self._taken_round = 0

    def takes(self, server_round: int, action: str) -> bool:
        """Wait until all that was handed over is written; then the round is taken.

        Parameters
        ----------
        action : str
            What is to be done then, to complete "could not".

        Raises
        ------
        Exception
            What a former job raised, by the user's option; so do the other methods.
        """
        with self._tolerate(action):
            self._wait_for_round(server_round, Awaited.BY_NEXT_MODEL)
        if self._writer.is_idle:
            self._taken_round = server_round
        return server_round == self._taken_round

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be written."""
        return not self._writer.is_idle

    def has_room(self, server_round: int) -> bool:
        """Tell whether a job that holds the round's model may be handed over."""
        return server_round == self._taken_round or self._writer.is_idle

    def submit(self, action: str, work: Callable[[], object]) -> None:
        """Have work done after all that was handed over before."""
        self._writer.submit(self._tolerant(action, work))
        if self._waits_for_each and not self._writer.is_overdue:
            with self._tolerate(action):
                self._drain(Awaited.BY_ALL_ELSE)

    def ask(self, action: str, work: Callable[[], Result]) -> Result:
        """Have work done, and return what it returns.

        Raises
        ------
        WriteTimeoutError
            When it does not end in time.
        Exception
            What it raises.
        """
        answers: list[Result] = []
        errors: list[Exception] = []

        def answer() -> None:
            try:
                answers.append(work())
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        self._writer.submit(Job(action, answer))
        self._drain(Awaited.BY_NEXT_MODEL)
        for error in errors:
            raise error
        return answers[0]

    def finish_round(self, server_round: int) -> None:
        """Wait until all that was handed over is written."""
        if self._writer.is_overdue:
            return  # which was waited for in this round
        with self._tolerate(f"finish round {server_round}"):
            self._wait_for_round(server_round, Awaited.BY_ALL_ELSE)

    def finish(self) -> None:
        """Wait until all is written, and raise what went wrong."""
        with self._tolerate("write all that the run gave"):
            self._drain(Awaited.BY_ALL_ELSE)

    def wait(self) -> None:
        """Wait until all is written, whatever became of it."""
        if self._writer.is_overdue:
            return
        with self._tolerate("wait until all is written"):
            self._writer.wait(at_most_seconds=self._limit)

    def do_last(self, action: str, work: Callable[[], object]) -> None:
        """Have work done when the run is cut short or over; raise nothing."""
        self._writer.put(self._tolerant(action, work))
        try:
            self._writer.wait(at_most_seconds=self._limit or _LAST_SECONDS)
        except WriteTimeoutError as error:
            LOGGER.warning("registry: could not %s yet: %s", action, str(error))

    def _tolerant(self, action: str, work: Callable[[], object]) -> Job:
        def tolerant() -> None:
            with self._tolerate(action):
                work()

        return Job(action, tolerant)

    @property
    def _limit(self) -> float | None:
        return _BRIEF_SECONDS if self._any_down() else None

    def _wait_for_round(self, server_round: int, awaited: Awaited) -> None:
        seconds = self._drain(awaited)
        if seconds > _NOTABLE_SECONDS:
            log_wait(server_round, seconds)

    def _drain(self, awaited: Awaited) -> float:
        return self._writer.drain(awaited, at_most_seconds=self._limit)
