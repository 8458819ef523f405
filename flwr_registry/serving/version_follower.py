"""The version that is served: the one that a reference names, whenever that changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flwr_registry.errors import (
    ModelNotFoundError,
    NoProductionModelError,
    RegistryError,
)
from flwr_registry.records import ModelVersion
from flwr_registry.registry import ModelRegistry
from flwr_registry.serving.predictor import Predictor, refuse_unfit
from flwr_registry.shown_text import OneLineLogger

__all__ = ["VersionFollower"]

_LOGGER = OneLineLogger("flwr_registry")
_LONGEST_PAUSE_SECONDS = 60.0


class VersionFollower:
    """Keeps a loaded predictor of the version that a reference names.

    The next version is loaded and verified beside the present one; then one assignment
    swaps them. Whoever took the present one goes on with it.

    Parameters
    ----------
    reference : str
        What to follow, such as ``digits@production``.
    load : callable
        Makes a predictor of a reference to a single version.
    poll_seconds : float
        How often the registry is asked.
    on_load : callable, optional
        Is told of each attempt, by its version and whether it succeeded. Where it fails
        itself, the version is served all the same, and it is told again with each poll
        until it succeeds.
    on_poll : callable, optional
        Is called whenever the registry was asked, in the same thread.

    Attributes
    ----------
    current : Predictor or None
        What is served; None when nothing is.
    problem : str
        Why it is not what it should be; empty when all is well.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        reference: str,
        load: Callable[[str], Predictor],
        *,
        poll_seconds: float = 1.0,
        on_load: Callable[[ModelVersion, bool], None] = lambda *_: None,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        if poll_seconds <= 0:
            raise ValueError(f"poll_seconds is above 0, not {poll_seconds}")
        self.current: Predictor | None = None
        self.problem = "no version was loaded yet"
        self._registry = registry
        self._reference = reference
        self._load = load
        self._poll_seconds = poll_seconds
        self._on_load = on_load
        self._on_poll = on_poll
        self._failed: tuple[int, float, float] | None = None
        self._untold: ModelVersion | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="flwr-registry-follower", daemon=True
        )

    def load_first(self) -> None:
        """Load what is named now; nothing is also right while nothing is in production.

        Raises
        ------
        Exception
            Whatever keeps the version from being loaded.
        """
        try:
            wanted = self._registry.get(self._reference)
        except NoProductionModelError as error:
            self._note(str(error))
        else:
            self._take(wanted, self._load(wanted.reference))

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End following; returns when a load under way has ended."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Ask the registry once, and load what it names if that is another version."""
        try:
            wanted = self._registry.get(self._reference)
        except ModelNotFoundError as error:
            # Nothing is in production: what was there before must not be served either.
            self.current = None
            self._note(str(error))
            return
        except RegistryError as error:
            self._note(f"the registry cannot be asked: {error}")
            return
        if self.current is not None and self.current.version.id == wanted.id:
            self._keep(wanted)
        elif not self._is_pausing(wanted):
            self._swap(wanted)

    def _follow(self) -> None:
        while not self._ended.wait(self._poll_seconds):
            try:
                self.refresh()
                self._on_poll()
            except Exception as error:
                _LOGGER.exception("registry: following %s failed", self._reference)
                self._note(f"following failed: {type(error).__name__}")

    def _keep(self, wanted: ModelVersion) -> None:
        try:
            refuse_unfit(wanted)
        except RegistryError as error:
            self.current = None
            self._note(str(error))
        else:
            self._note(self._tell())

    def _swap(self, wanted: ModelVersion) -> None:
        try:
            loaded = self._load(wanted.reference)
        except Exception as error:
            # A user's module is loaded here, which may raise anything.
            self._pause(wanted)
            self._note(f"{wanted.reference} cannot be served: {error}")
            self._drop_unfit()
            self._tell_of_failure(wanted)
            return
        self._take(wanted, loaded)

    def _take(self, wanted: ModelVersion, loaded: Predictor) -> None:
        self._failed = None
        self.current = loaded
        self._untold = wanted
        _LOGGER.info("registry: serving %s", loaded.version.reference)
        self._note(self._tell())

    def _tell(self) -> str:
        """Tell of the version that is served, unless that is done; return what failed.

        The switch is done by then, so what fails here is made good and undoes nothing.
        """
        if self._untold is None:
            return ""
        try:
            self._on_load(self._untold, True)
        except Exception as error:
            return (
                f"{self._untold.reference} is served, but what has to follow failed, "
                f"and is tried again: {type(error).__name__}: {error}"
            )
        self._untold = None
        return ""

    def _tell_of_failure(self, wanted: ModelVersion) -> None:
        try:
            self._on_load(wanted, False)
        except Exception:
            _LOGGER.exception("registry: a load that failed could not be told of")

    def _drop_unfit(self) -> None:
        """Let go of the version that still serves, if that was withdrawn meanwhile."""
        if self.current is None:
            return
        try:
            refuse_unfit(self._registry.get(self.current.version.reference))
        except RegistryError as error:
            self.current = None
            self._note(f"{self.problem}; {error}")

    def _pause(self, wanted: ModelVersion) -> None:
        pause = self._poll_seconds
        if self._failed is not None and self._failed[0] == wanted.id:
            pause = min(2 * self._failed[1], _LONGEST_PAUSE_SECONDS)
        self._failed = (wanted.id, pause, time.monotonic() + pause)

    def _is_pausing(self, wanted: ModelVersion) -> bool:
        """Whether this version failed a moment ago, and is not tried again at once."""
        if self._failed is None or self._failed[0] != wanted.id:
            return False
        self._drop_unfit()
        return time.monotonic() < self._failed[2]

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            _LOGGER.warning("registry: %s", problem)
        self.problem = problem
