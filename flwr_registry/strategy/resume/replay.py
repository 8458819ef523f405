"""Handing back rounds that were done before the run was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.errors import RegistryError, ResumeError
from flwr_registry.records import MetricSource
from flwr_registry.storage import StorageBackend
from flwr_registry.strategy.resume.resume_point import ResumePoint
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
    first_model : object
        What the run once began with, if it was given again.
    server : object
        What drives the strategy, as the hooks know it.
    told : set of int
        Rounds whose training metrics were handed back.
    was_taken : bool
        Somebody took a model of the rounds that are done.
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
        self.first_model: Any = None
        self.server: Any = None
        self.told: set[int] = set()
        self.was_taken = False
        self._last_made_in = self._kept_in(self.last_round)
        self._storage = storage
        self._model_of = model_of
        self._each = looks_at_each_model
        self._ends_after = self.last_round
        self._is_told = False

    @property
    def last_round(self) -> int:
        """The last round that is done."""
        return self.content.server_round

    def covers(self, server_round: int) -> bool:
        """Tell whether a round is done; 0 is what came before the first."""
        return server_round <= self.last_round

    def end(self) -> None:
        """Let go of the models: a new round begins, they are asked for no more."""
        self.last_model = self.first_model = None

    def end_after(self, num_rounds: int | None) -> None:
        """Hand back no more than the first rounds, so the last of these is the last.

        Parameters
        ----------
        num_rounds : int or None
            How many rounds are asked for. None when nobody knows: each round hands back
            its own model then, for it may be the last.

        Raises
        ------
        ResumeError
            When the model of that round is gone.
        """
        if num_rounds is None or self.is_made_anew:
            self._each = True
        if num_rounds is None:
            return
        if 0 < num_rounds < self.last_round:
            made_in = self._kept_in(num_rounds)
            self.last_model = self._read(made_in)
            self._last_made_in = made_in
            self._ends_after = num_rounds

    @property
    def ends_early(self) -> bool:
        """Fewer rounds are asked for than are done."""
        return self._ends_after < self.last_round

    @property
    def is_made_anew(self) -> bool:
        """The server makes another model of each, and has to do so again from each."""
        return bool(self.content.made_of_it)

    def was_configured(self, server_round: int) -> bool:
        """Tell whether the round was aggregated at all."""
        return server_round in self.content.rounds

    def gave_model(self, server_round: int) -> bool:
        """Tell whether Flower got a model in a round."""
        finished = self.content.rounds.get(server_round)
        return finished is not None and finished.gave_model

    def model(self, server_round: int) -> Any:
        """Return the model that Flower got in a round; None when it got none."""
        self.told.add(server_round)
        if not self.gave_model(server_round):
            return None
        self.was_taken = True
        # A loop may go on past the rounds that it was asked for.
        if self._each or server_round > self._ends_after:
            return self.own_model(server_round) or self.last_model
        return self.last_model

    def own_model(self, server_round: int) -> Any:
        """Return the model that training went on with after a round, None if lost."""
        if server_round == 0:
            return self.first_model
        made_in = self._kept_in(server_round)
        if made_in and made_in == self._last_made_in:
            return self.last_model
        try:
            return self._read(made_in)
        except ResumeError as error:
            self._tell(server_round, error)
            return None

    def _kept_in(self, server_round: int) -> int:
        """Return the round whose model training had after a round, 0 for none."""
        kept = [
            number
            for number, finished in self.content.rounds.items()
            if finished.gave_model and number <= server_round
        ]
        return max(kept, default=0)

    def _read(self, made_in: int) -> Any:
        """Read the model of a round; None when it made none that could be registered.

        Raises
        ------
        ResumeError
            When its bytes are gone.
        """
        finished = self.content.rounds.get(made_in)
        if finished is None:
            return None
        try:
            if finished.weights is None:
                raise ResumeError("it was not registered")
            images = load_npy_images(self._storage, finished.weights)
        except RegistryError as error:
            raise ResumeError(
                f"the model of round {made_in} cannot be read ({error}): "
                f"num_rounds={self.last_round} gives the last one"
            ) from error
        return self._model_of(images, self.content.tensor_type)

    def knows(self, source: MetricSource, server_round: int) -> bool:
        """Tell whether it is known what a source measured, were it nothing."""
        return server_round in self.content.metrics.get(source.value, {})

    def metrics(self, source: MetricSource, server_round: int) -> dict[str, Any] | None:
        """Return what a source measured in a round, None for nothing.

        Raises
        ------
        ResumeError
            When the checkpoint has it in another form.
        """
        measured = self.content.metrics.get(source.value, {}).get(server_round)
        if measured is None or isinstance(measured, dict):
            return measured
        raise self._of_another_form(source, server_round)

    def loss_and_metrics(
        self, source: MetricSource, server_round: int
    ) -> tuple[Any, Any] | None:
        """Return what a source measured in a round of the legacy API, or None.

        Raises
        ------
        ResumeError
            When the checkpoint has it in another form.
        """
        measured = self.content.metrics.get(source.value, {}).get(server_round)
        match measured:
            case None:
                return None
            case [loss, metrics]:
                return loss, metrics
        raise self._of_another_form(source, server_round)

    def _of_another_form(self, source: MetricSource, server_round: int) -> ResumeError:
        return ResumeError(
            f"the checkpoint of round {self.last_round} has {source.value} of round "
            f"{server_round} in a form that this strategy's API does not have: give an "
            "earlier one by resume='RUN/ROUND', or start anew with resume=False and "
            "another run name"
        )

    def _tell(self, server_round: int, error: RegistryError) -> None:
        if not self._is_told:
            self._is_told = True
            LOGGER.warning(
                "registry: the model of round %d cannot be read (%s); the last one "
                "stands for it and for others that are gone",
                server_round,
                error,
            )
