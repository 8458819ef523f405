"""How a run begins: anew, from a version, or after a checkpoint."""

from __future__ import annotations

from typing import Any

from flwr_registry.checkpointing import restore_random_state
from flwr_registry.records import ModelVersion
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.replay import Replay
from flwr_registry.strategy.resume_checks import check_given, check_strategy
from flwr_registry.strategy.run_history import (
    CurrentModel,
    RoundVersion,
    stored_weights_of,
)
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.strategy_state import StrategyState
from flwr_registry.strategy.tolerance import Tolerance
from flwr_registry.weights import NpyImages, load_npy_images

__all__ = ["RunOpening"]


class RunOpening:
    """Opens a run's place and finds what it starts from.

    What the user asked for by name is not tolerated to fail: a run that silently starts
    from something else is worse than none.

    Attributes
    ----------
    replay : Replay or None
        The rounds that a resumed run need not train again.
    model : CurrentModel
        What the run goes on with; empty when Flower gives the first model.
    initial_model : object
        The model of the version that training starts from, None without one.
    """

    def __init__(self, port: StrategyPort) -> None:
        self._port = port
        self.replay: Replay | None = None
        self.model = CurrentModel()
        self.initial_model: Any = None
        self._state: StrategyState | None = None

    def open(
        self, ledger: RunLedger, options: RegistryOptions, tolerate: Tolerance
    ) -> None:
        """Open storage and database.

        Raises
        ------
        ResumeError, RegistryError
            When the checkpoint or version that was asked for cannot be used.
        """
        if options.resume is not False:
            self._find_replay(ledger, options)
        version = None
        with tolerate("open the registry"):
            version = ledger.open()
        if self.replay is not None:
            self.model.version.record = version
        elif options.initial is not None:
            self._start_from(ledger, ledger.initial_version())

    def check_given(self, fingerprint: str) -> None:
        """Refuse to resume when the app gives a model of another architecture."""
        if self.replay is not None:
            check_given(self.replay.content, fingerprint)

    def take_up(self) -> None:
        """Load the state of the last round that is done, once, before a new one."""
        state, self._state = self._state, None
        if self.replay is not None and state is not None:
            self._port.take_up(state)
            restore_random_state(self.replay.content.random_state)

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
        self._state = StrategyState(content.state, dict(content.state_arrays))
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

    def _start_from(self, ledger: RunLedger, version: ModelVersion) -> None:
        images = load_npy_images(ledger.storage, stored_weights_of(version))
        self.initial_model = self._port.model_of(images, "")
        self._go_on(self.initial_model, images, version, "")

    def _go_on(
        self,
        model: Any,
        stored: NpyImages,
        version: ModelVersion | None,
        tensor_type: str,
    ) -> None:
        buffers, weights = self._port.view(model, stored)
        self.model = CurrentModel(buffers, weights, RoundVersion(version), tensor_type)
