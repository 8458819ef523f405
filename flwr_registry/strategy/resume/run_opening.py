"""How a run begins: anew, from a version, or after a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flwr_registry.checkpointing import CheckpointContent, restore_random_state
from flwr_registry.errors import InvalidNameError, ResumeError, StorageOwnerError
from flwr_registry.records import ModelVersion
from flwr_registry.storage import StorageBackend
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.resume.replay import Replay
from flwr_registry.strategy.resume.resume_checks import check_given, check_strategy
from flwr_registry.strategy.resume.resume_point import ResumePoint
from flwr_registry.strategy.resume.resumed_model import ResumedModel
from flwr_registry.strategy.run_history import (
    CurrentModel,
    RoundVersion,
)
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.state.plain_state import StrategyState
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.weights import NpyImages, load_npy_images

__all__ = ["RunOpening"]

# What the user set cannot be, before anything is trained.
_REFUSALS = (ResumeError, StorageOwnerError, InvalidNameError)


class RunOpening:
    """Opens a run's place and finds what it starts from.

    What the user asked for by name is not tolerated to fail: a run that silently starts
    from something else is worse than none.

    Attributes
    ----------
    replay : Replay or None
        The rounds that a resumed run need not train again.
    resumed : ResumedModel or None
        What the first new round has to train, of a checkpoint or a version.
    model : CurrentModel
        What the run goes on with; empty when Flower gives the first model.
    initial_model : object
        The model of the version that training starts from, None without one.
    """

    def __init__(self, port: StrategyPort) -> None:
        self._port = port
        self.replay: Replay | None = None
        self.resumed: ResumedModel | None = None
        self.model = CurrentModel()
        self.initial_model: Any = None
        self._point: ResumePoint | None = None
        self._storage: StorageBackend | None = None
        self._left: CheckpointContent | None = None
        self._left_early: CheckpointContent | None = None

    def open(
        self,
        ledger: RunLedger,
        options: RegistryOptions,
        tolerate: Tolerance,
        ask: Callable[[str, Callable[[], Any]], Any],
    ) -> None:
        """Open storage and database.

        Parameters
        ----------
        ask : callable
            Has the database asked for something, in time.

        Raises
        ------
        StorageOwnerError, InvalidNameError
            When the storage is another registry's, or the model's name another's in
            other letters.
        ResumeError, RegistryError
            When the checkpoint or version that was asked for cannot be used.
        """
        if options.resume is not False:
            self._find_replay(ledger, options)
        version, refusal = None, None
        with tolerate("open the registry"):
            ledger.tell_places()
            try:
                version = ask("open the registry", ledger.open)
            except _REFUSALS as error:
                refusal = error
        if refusal is not None:
            raise refusal
        if self.replay is not None:
            self.model.version.record = version
        elif options.initial is not None:
            initial = ask("find the initial version", ledger.initial_version)
            self._start_from(ledger, initial)

    def check_given(self, fingerprint: str) -> None:
        """Refuse to resume when the app gives a model of another architecture."""
        if self.replay is not None:
            check_given(self.replay.content, fingerprint)

    def end_after(self, num_rounds: int | None) -> None:
        """Hand back no more rounds than are asked for, of those that are done.

        Raises
        ------
        ResumeError
            When the model of the last of these is gone.
        """
        if self.replay is None or self._point is None or self._storage is None:
            return
        self.replay.end_after(num_rounds)
        if num_rounds is not None and self.replay.ends_early:
            self._left_early = self._point.earlier(self._storage, num_rounds)

    def end(self) -> None:
        """Load the state of the last round that was asked for, if none is new."""
        if self.replay is not None and self.replay.ends_early:
            self._left = self._left_early if self._left is not None else None
        self.take_up()

    def take_up(self) -> None:
        """Load the state of the last round that is done, once, before a new one."""
        left, self._left = self._left, None
        if left is not None:
            self._port.take_up(StrategyState(left.state, dict(left.state_arrays)))
            restore_random_state(left.random_state)

    def _find_replay(self, ledger: RunLedger, options: RegistryOptions) -> None:
        point = ledger.find_resume_point()
        if point is None:
            return
        is_of_earlier_release = point.checkpoint.content.architecture is None
        if is_of_earlier_release and options.initial is not None:
            # Those tell of the version that the run began with in its place.
            point = point.without_given_model()
        content = point.checkpoint.content
        check_strategy(content, self._port.class_chain, ledger.provenance.model)
        self._port.check_state(content)
        self._left = content
        self._point, self._storage = point.without_bytes(), ledger.storage
        self.replay = Replay(
            point,
            ledger.storage,
            self._port.model_of,
            looks_at_each_model=self._port.looks_at_each_model,
        )
        self._go_on(
            self.replay.last_model,
            point.checkpoint.weights,
            None,
            content.tensor_type,
        )
        again = partial(
            self._port.model_of, point.checkpoint.weights, content.tensor_type
        )
        origin = f"goes on after round {content.server_round}"
        self.resumed = ResumedModel(
            origin, again, self.model.buffers, content.made_of_it
        )

    def _start_from(self, ledger: RunLedger, version: ModelVersion) -> None:
        images = load_npy_images(ledger.storage, version.stored)
        self.initial_model = self._port.model_of(images, "")
        self._go_on(self.initial_model, images, version, "")
        again = partial(self._port.model_of, images, "")
        origin = f"starts from {version.reference}"
        self.resumed = ResumedModel(origin, again, self.model.buffers)

    def _go_on(
        self,
        model: Any,
        stored: NpyImages,
        version: ModelVersion | None,
        tensor_type: str,
    ) -> None:
        buffers, weights = self._port.view(model, stored)
        self.model = CurrentModel(buffers, weights, RoundVersion(version), tensor_type)
