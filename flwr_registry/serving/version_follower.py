"""The version that is served: the one that a reference names, whenever that changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flwr_registry.errors import (
    ModelNotFoundError,
    NoProductionModelError,
    PredictionError,
    RegistryError,
)
from flwr_registry.records import ModelVersion
from flwr_registry.registry import ModelRegistry
from flwr_registry.serving.foreign_code import contained
from flwr_registry.serving.predictor import Predictor, refuse_unfit
from flwr_registry.serving.retries import Retries
from flwr_registry.serving.version_trial import Trial
from flwr_registry.serving.watched_thread import WatchedThread
from flwr_registry.shown_text import OneLineLogger

__all__ = ["VersionFollower"]

_LOGGER = OneLineLogger("flwr_registry")
_LONGEST_STOP_SECONDS = 30.0


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
    trial : callable, optional
        Tries a version that was not served here before, see `trial_of`. One that it
        does not pass is not loaded.
    poll_seconds : float
        How often the registry is asked.
    stall_seconds : float
        A load that takes longer hangs: it is left alone, and following begins anew.
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
    """

    def __init__(
        self,
        registry: ModelRegistry,
        reference: str,
        load: Callable[[str], Predictor],
        *,
        trial: Trial | None = None,
        poll_seconds: float = 1.0,
        stall_seconds: float = 120.0,
        on_load: Callable[[ModelVersion, bool], None] = lambda *_: None,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        if poll_seconds <= 0:
            raise ValueError(f"poll_seconds is above 0, not {poll_seconds}")
        self.current: Predictor | None = None
        self._problem = "no version was loaded yet"
        self._registry = registry
        self._reference = reference
        self._load = load
        self._trial = trial
        self._poll_seconds = poll_seconds
        self._on_load = on_load
        self._on_poll = on_poll
        self._failure = self._let_go_for = ""
        self._loading: ModelVersion | None = None
        self._tried_ids: set[int] = set()
        self._retries = Retries(poll_seconds)
        self._untold: ModelVersion | None = None
        self._thread = WatchedThread(
            self._take_turn,
            name="flwr-registry-follower",
            pause_seconds=poll_seconds,
            stall_seconds=stall_seconds,
            on_loss=self._note_loss,
        )
        # Loading takes long, and may hang.
        self._withdrawals = WatchedThread(
            self._heed_withdrawal,
            name="flwr-registry-withdrawals",
            pause_seconds=poll_seconds,
            stall_seconds=stall_seconds,
            on_loss=lambda *_: None,
        )

    @property
    def problem(self) -> str:
        """Why what is served is not what it should be; empty when all is well."""
        trouble = self._thread.trouble
        return f"following {self._reference} {trouble}" if trouble else self._problem

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
            self._take(wanted, self._loaded(wanted))

    def start(self) -> None:
        """Follow in a thread of its own, which is replaced if it ends or hangs."""
        self._thread.start()
        self._withdrawals.start()

    def stop(self) -> None:
        """End following; returns when a load under way has ended, or hangs."""
        self._withdrawals.stop(_LONGEST_STOP_SECONDS)
        self._thread.stop(_LONGEST_STOP_SECONDS)

    def refresh(self) -> None:
        """Ask the registry once, and load what it names if that is another version."""
        found: ModelVersion | RegistryError
        try:
            found = self._registry.get(self._reference)
        except RegistryError as error:
            found = error
        with self._thread.own_turn() as is_own:
            # What hung and was replaced may learn now what was true long ago.
            wanted = self._changed(found) if is_own else None
        if wanted is None:
            return
        # Its successor may take long, or never come.
        self._drop_unfit(only_withdrawn=True)
        if self._retries.is_pausing(wanted.id):
            self._drop_unfit()
            self._note(self._why_not())
        else:
            self._swap(wanted)

    def _changed(self, found: ModelVersion | RegistryError) -> ModelVersion | None:
        """Return the version to load; None when it is there, or there is none."""
        if isinstance(found, ModelNotFoundError):
            # Nothing is in production: what was there before must not be served either.
            self._let_go(str(found))
        elif isinstance(found, RegistryError):
            self._note(f"the registry cannot be asked: {found}")
        elif self.current is not None and self.current.version.id == found.id:
            self._keep(found)
        else:
            return found
        return None

    def _take_turn(self) -> None:
        try:
            self.refresh()
            if self._is_own():
                self._on_poll()
        except Exception as error:
            _LOGGER.exception("registry: following %s failed", self._reference)
            self._note(f"following failed: {type(error).__name__}")

    def _heed_withdrawal(self) -> None:
        """Let go of what is withdrawn also while its successor is tried and loaded."""
        if self._loading is not None:
            self._drop_unfit(only_withdrawn=True)

    def _note_loss(self, trouble: str, thread: threading.Thread) -> None:
        """Note why the thread is replaced; what it was loading is let be for now."""
        loading, self._loading = self._loading, None
        if loading is None:
            self._note(f"following {self._reference} {trouble}")
            return
        self._retries.note_failure(loading.id, held_by=thread)
        self._note_failure(loading, f"loading it {trouble}")

    def _keep(self, wanted: ModelVersion) -> None:
        try:
            refuse_unfit(wanted)
        except RegistryError as error:
            self._let_go(str(error))
        else:
            self._note(self._tell())

    def _swap(self, wanted: ModelVersion) -> None:
        with self._thread.own_turn() as is_own:
            if not is_own:
                return
            self._retries.note_beginning(wanted.id)
            self._loading = wanted
            self._failure = ""
        try:
            loaded = self._loaded(wanted)
        except Exception as error:  # noqa: BLE001
            # A user's module is loaded here, which may raise anything.
            with self._thread.own_turn() as is_own:
                if is_own:
                    self._loading = None
                    self._retries.note_failure(wanted.id)
                    self._note_failure(wanted, str(error))
            self._drop_unfit()
            return
        with self._thread.own_turn() as is_own:
            if is_own:
                self._loading = None
                self._take(wanted, loaded)

    def _loaded(self, wanted: ModelVersion) -> Predictor:
        """Try the version if that was not done, and load it."""
        if self._trial is not None and wanted.id not in self._tried_ids:
            refuse_unfit(wanted)
            self._trial(wanted.reference, self._is_waiting)
            self._tried_ids.add(wanted.id)
        with contained(f"loading {wanted.reference}"):
            return self._load(wanted.reference)

    def _is_waiting(self) -> bool:
        """Show life while a version is tried; whether its trial is still waited for."""
        self._thread.show_life()
        return self._is_own() and not self._thread.is_ending

    def _is_own(self) -> bool:
        """Whether this thread was not replaced by another."""
        with self._thread.own_turn() as is_own:
            return is_own

    def _take(self, wanted: ModelVersion, loaded: Predictor) -> None:
        self._retries.forget()
        self._failure = self._let_go_for = ""
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
        except Exception as error:  # noqa: BLE001
            return (
                f"{self._untold.reference} is served, but what has to follow failed, "
                f"and is tried again: {type(error).__name__}: {error}"
            )
        self._untold = None
        return ""

    def _note_failure(self, wanted: ModelVersion, problem: str) -> None:
        self._failure = f"{wanted.reference} cannot be served: {problem}"
        self._note(self._why_not())
        try:
            self._on_load(wanted, False)
        except Exception:
            _LOGGER.exception("registry: a load that failed could not be told of")

    def _drop_unfit(self, *, only_withdrawn: bool = False) -> None:
        """Let go of the version that still serves, if that may no longer be."""
        current = self.current
        if current is None:
            return
        try:
            found = self._registry.get(current.version.reference)
            if found.withdrawn or not only_withdrawn:
                refuse_unfit(found)
        except (ModelNotFoundError, PredictionError) as error:
            with self._thread.own_turn() as is_own:
                # Its successor may have come meanwhile.
                if is_own and self.current is current:
                    self._let_go_for = str(error)
                    self._let_go(self._why_not())
        except RegistryError:
            # It goes on serving; `refresh` tells of a registry that cannot be asked.
            return

    def _why_not(self) -> str:
        """Return why the version that is wanted is not served, nor that before it."""
        return "; ".join(each for each in (self._failure, self._let_go_for) if each)

    def _let_go(self, problem: str) -> None:
        self.current = None
        self._note(problem)

    def _note(self, problem: str) -> None:
        with self._thread.own_turn() as is_own:
            if is_own and problem and problem != self._problem:
                _LOGGER.warning("registry: %s", problem)
            if is_own:
                self._problem = problem
