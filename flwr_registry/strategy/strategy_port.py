"""What a recorder may do with the strategy that it records, without a Flower type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakMethod

from flwr.supercore.exit import add_exit_handler

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import RunProvenance
from flwr_registry.strategy.aggregate import Buffers
from flwr_registry.strategy.conversions import buffers_of, weights_of
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.provenance import provenance_of, strategy_chain_of
from flwr_registry.strategy.resume.resume_checks import (
    check_accountants,
    objects_without_state,
)
from flwr_registry.strategy.round_log import log_objects_without_state
from flwr_registry.strategy.state.exporting import beginning_of, export_state
from flwr_registry.strategy.state.importing import import_state
from flwr_registry.strategy.state.plain_state import Beginning, StrategyState
from flwr_registry.strategy.writing.termination import TERMINATION
from flwr_registry.weights import NpyImages, Weights

__all__ = ["StrategyPort"]

_DEEPEST_NESTING = 8


class StrategyPort:
    """One wrapped strategy, seen from the recorder.

    Parameters
    ----------
    strategy : object
        The wrapped strategy.
    strategy_class : type
        Its own class, before wrapping.
    options : RegistryOptions
        What the user chose.
    model_of : callable
        Makes a model of the strategy's API from stored arrays and the form of tensors.
    looks_at_each_model : bool
        Something of the user's may look at the model of each round, not the last alone.
    speaks_messages : bool
        It is of the message API: its arrays have names, and its ``start`` returns when
        a run is over; in the legacy API only the last hook of each round is known.
    """

    def __init__(
        self,
        strategy: Any,
        strategy_class: type,
        options: RegistryOptions,
        model_of: Callable[[NpyImages, str], Any],
        *,
        looks_at_each_model: bool,
        speaks_messages: bool,
    ) -> None:
        self._strategy = strategy
        self._options = options
        self._beginning: Beginning | None = None
        self._objects_are_noted = False
        self._is_called_at_exit = False
        self.describe_run: Callable[[Any], RunProvenance] = partial(
            provenance_of, strategy, strategy_class, options
        )
        self.class_chain = strategy_chain_of(strategy, strategy_class)
        self.model_of = model_of
        self.looks_at_each_model = looks_at_each_model
        self.speaks_messages = speaks_messages

    @property
    def aggregate_hook(self) -> str:
        """Name of the hook that a round's model comes through."""
        return "aggregate_train" if self.speaks_messages else "aggregate_fit"

    @property
    def may_evaluate_centrally(self) -> bool:
        """Whether a legacy strategy has something to evaluate a model with."""
        strategy = None if self.speaks_messages else self._strategy
        for _ in range(_DEEPEST_NESTING):
            module = str(getattr(getattr(strategy, "evaluate", None), "__module__", ""))
            is_flower_s = module.partition(".")[0] == "flwr"
            if not is_flower_s or getattr(strategy, "evaluate_fn", None) is not None:
                return strategy is not None
            strategy = getattr(strategy, "strategy", None)
        return False

    def note_settings(self) -> None:
        """Take what the strategy is before training as settings, which are no state."""
        self._beginning = beginning_of(self._strategy)
        self._objects_are_noted = False

    def note_objects(self) -> None:
        """Take note of the objects that came before the first round; once a run.

        A ``start`` of the user's makes them again when the run is resumed.
        """
        if not self._objects_are_noted and self._beginning is not None:
            self._objects_are_noted = True
            self._beginning.learn_objects(beginning_of(self._strategy))

    def export_state(self) -> StrategyState:
        """Take out what the strategy carries, less its settings; it stands still."""
        return export_state(self._strategy, beginning=self._beginning)

    def check_state(self, content: CheckpointContent) -> None:
        """Refuse a checkpoint that lacks what the strategy must not start without."""
        check_accountants(self._strategy, content.state)
        unsaved = objects_without_state(self._strategy, content.state)
        if unsaved:
            log_objects_without_state(unsaved)

    def take_up(self, state: StrategyState) -> None:
        """Give the strategy the state of a checkpoint."""
        import_state(self._strategy, state)

    def go_back_to(self, state: StrategyState) -> None:
        """Give the strategy the state of a checkpoint of this very run."""
        settings = self._beginning.settings if self._beginning else {}
        import_state(self._strategy, state, settings=settings)

    def call_at_exit(self, work: Callable[[], None]) -> None:
        """Run work, a method, when Flower ends the process, as on ``flwr stop``."""
        if self._is_called_at_exit:
            return
        self._is_called_at_exit = True
        # Flower keeps its handlers for good; they must not keep the strategy's arrays.
        reference = WeakMethod(work)

        def at_exit() -> None:
            found = reference()
            if found is not None:
                found()

        add_exit_handler(at_exit)

    def catch_signals(self, work: Callable[[], None]) -> None:
        """Run work, a method, before SIGTERM ends a process of which Flower is a part.

        Flower's own handlers are in the processes that it starts itself.
        """
        TERMINATION.add(work)

    def leave_signals(self, work: Callable[[], None]) -> None:
        """Leave SIGTERM to the process again: there is nothing to save."""
        TERMINATION.remove(work)

    def buffers(self, model: Any) -> Buffers:
        """Take hold of a model's bytes."""
        return buffers_of(model)

    def weights(self, model: Any) -> Weights | None:
        """View a model's arrays.

        Raises
        ------
        WeightsFormatError
            When they cannot be read.
        """
        return weights_of(model, self._options.names)

    def view(self, model: Any, stored: NpyImages) -> tuple[Buffers, Weights | None]:
        """Take hold of a model's bytes and view its arrays.

        Parameters
        ----------
        stored : NpyImages
            What the model was made from.
        """
        weights = self.weights(model)
        if weights is not None and len(weights) == len(stored.images):
            names = dict(zip(stored.images, weights, strict=True))
            dtypes = {names[each]: dtype for each, dtype in stored.cast_back.items()}
            weights = Weights(weights, opaque=weights.opaque, cast_back=dtypes)
        return buffers_of(model), weights
