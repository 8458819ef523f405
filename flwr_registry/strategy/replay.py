"""Handing back rounds that were done before the run was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.errors import RegistryError
from flwr_registry.records import MetricSource
from flwr_registry.storage import StorageBackend
from flwr_registry.strategy.resume_point import ResumePoint
from flwr_registry.strategy.tolerance import LOGGER
from flwr_registry.weights import NpyImages, load_npy_images

__all__ = ["Replay"]


class Replay:
    """Models and metrics of finished rounds, as the strategy gave them.

    Parameters
    ----------
    point : ResumePoint
        The checkpoint.
    storage : StorageBackend
        Where the models of earlier rounds lie.
    model_of : callable
        Makes Flower's model from stored arrays and the form of its tensors.
    looks_at_each_model : bool
        Hand back each round's own model; otherwise the last one stands for all, which
        spares reading them and is the same in the end.

    Attributes
    ----------
    last_model : object
        The model that the next round starts from.
    """

    def __init__(
        self,
        point: ResumePoint,
        storage: StorageBackend,
        model_of: Callable[[NpyImages, str], Any],
        *,
        looks_at_each_model: bool,
    ) -> None:
        self.content: CheckpointContent = point.without_bytes().checkpoint.content
        self.last_model = model_of(point.checkpoint.weights, self.content.tensor_type)
        self._storage = storage
        self._model_of = model_of
        self._each = looks_at_each_model
        self._is_told = False

    @property
    def last_round(self) -> int:
        """The last round that is done."""
        return self.content.server_round

    def covers(self, server_round: int) -> bool:
        """Tell whether a round is done; 0 is what came before the first."""
        return server_round <= self.last_round

    def end(self) -> None:
        """Let go of the model: a new round begins, and it is asked for no more."""
        self.last_model = None

    def was_configured(self, server_round: int) -> bool:
        """Tell whether the round was aggregated at all."""
        return server_round in self.content.rounds

    def model(self, server_round: int) -> Any:
        """Return the model that Flower got in a round; None when it got none."""
        finished = self.content.rounds.get(server_round)
        if finished is None or not finished.gave_model:
            return None
        if self._each:
            return self.own_model(server_round) or self.last_model
        return self.last_model

    def own_model(self, server_round: int) -> Any:
        """Return the model that training went on with after a round, None if lost."""
        kept = max(
            (
                number
                for number, finished in self.content.rounds.items()
                if finished.gave_model and number <= server_round
            ),
            default=0,
        )
        later = any(
            finished.gave_model and number > kept
            for number, finished in self.content.rounds.items()
        )
        if not later and kept:
            return self.last_model
        finished = self.content.rounds.get(kept)
        if finished is None or finished.weights is None:
            return None
        try:
            images = load_npy_images(self._storage, finished.weights)
        except RegistryError as error:
            self._tell(server_round, error)
            return None
        return self._model_of(images, self.content.tensor_type)

    def knows(self, source: MetricSource, server_round: int) -> bool:
        """Tell whether it is known what a source measured, were it nothing."""
        return server_round in self.content.metrics.get(source.value, {})

    def metrics(self, source: MetricSource, server_round: int) -> Any:
        """Return what a source measured in a round, None for nothing."""
        return self.content.metrics.get(source.value, {}).get(server_round)

    def _tell(self, server_round: int, error: RegistryError) -> None:
        if not self._is_told:
            self._is_told = True
            LOGGER.warning(
                "registry: the model of round %d cannot be read (%s); the last one "
                "stands for it and for others that are gone",
                server_round,
                error,
            )
