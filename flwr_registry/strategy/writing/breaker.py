"""Places that do not answer are asked shortly, until they answer again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from flwr_registry.errors import RegistryError
from flwr_registry.strategy.waiting import write_in_this_thread
from flwr_registry.strategy.writing.trouble_log import log_back, log_down

__all__ = ["Breaker"]

_PROBE_SECONDS = 0.4


class Breaker:
    """Tells whether a place is worth an attempt; only the writer's thread may ask.

    A place is down once attempts on it were given up. From then on a cheap call comes
    before each attempt, and one attempt that succeeds ends this.

    Parameters
    ----------
    name : str
        What the place is called in the log.
    error : type
        What trouble with it is raised as.
    probe : callable
        A cheap call to the place, which raises when there is trouble. It may never
        end; there is never more than one.

    Attributes
    ----------
    since : int or None
        The round since which the place is down, None while it is well.
    trouble : str
        What happened then.
    """

    def __init__(
        self, name: str, error: type[RegistryError], probe: Callable[[], object]
    ) -> None:
        self.name = name
        self.error = error
        self.since: int | None = None
        self.trouble = ""
        self._probe = probe
        self._probed_round: int | None = None
        self._probing: _Probing | None = None

    @property
    def is_down(self) -> bool:
        """Whether attempts were given up, and none has succeeded since."""
        return self.since is not None

    def admits(self, server_round: int) -> bool:
        """Tell whether an attempt makes sense; once a round that takes a moment."""
        if not self.is_down:
            return True
        first_in_round = server_round != self._probed_round
        self._probed_round = server_round
        return self._answers(_PROBE_SECONDS if first_in_round else 0.0)

    def note_failure(self, server_round: int, error: BaseException) -> None:
        """Note that attempts were given up."""
        if self.since is not None:
            return
        self.since, self.trouble = server_round, str(error)
        self._probed_round = server_round
        log_down(self.name, server_round, self.trouble)

    def note_success(self, server_round: int, missing: Sequence[int]) -> None:
        """Note that an attempt succeeded.

        Parameters
        ----------
        missing : sequence of int
            Rounds that could not be registered.
        """
        if self.since is not None:
            lost = [each for each in missing if each >= self.since]
            log_back(self.name, self.since, server_round, lost)
            self.since = None

    def _answers(self, seconds: float) -> bool:
        if self._probing is None:
            self._probing = _Probing(self._probe)
        if not self._probing.ended.wait(seconds):
            return False
        probing, self._probing = self._probing, None
        return probing.succeeded


class _Probing:
    """One call of a probe, in a thread that nobody need wait for."""

    def __init__(self, probe: Callable[[], object]) -> None:
        self.succeeded = False
        self.ended = threading.Event()
        self._probe = probe
        thread = threading.Thread(
            target=self._work, name="flwr-registry-probe", daemon=True
        )
        thread.start()

    def _work(self) -> None:
        write_in_this_thread()
        try:
            self._probe()
            self.succeeded = True
        except BaseException:  # noqa: BLE001
            # What is wrong was said when the place went down.
            self.succeeded = False
        finally:
            self.ended.set()
