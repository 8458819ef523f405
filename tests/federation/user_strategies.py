"""Message API strategies as users write them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdagrad, FedAvg, Result, Strategy
from numpy.typing import NDArray

__all__ = [
    "Composition",
    "ConfiguresEachNode",
    "DynamicAttributes",
    "EvaluatesItself",
    "LazyMessages",
    "MutatesItsState",
    "OwnLoop",
    "SometimesNothing",
]

Aggregate = tuple[ArrayRecord | None, MetricRecord | None]


class OwnLoop(FedAvg):
    """Runs its own rounds in `start`, with attributes that the app sets before it."""

    def set_save_path(self, save_path: str) -> None:
        """Say where to save; Flower's tutorial has it called before `start`."""
        self.save_path = save_path
        self.best_loss = float("inf")
        self.best_rounds: list[int] = []

    def start(  # type: ignore[override]  # as users narrow it
        self, grid: Grid, initial_arrays: ArrayRecord, num_rounds: int, **rest: Any
    ) -> Result:
        """Train and evaluate in turn, and remember the best round."""
        arrays, result = initial_arrays, Result()
        for current_round in range(1, num_rounds + 1):
            config = ConfigRecord({"save-path": self.save_path})
            asked = self.configure_train(current_round, arrays, config, grid)
            replies = grid.send_and_receive(asked)
            aggregated, metrics = self.aggregate_train(current_round, replies)
            arrays = arrays if aggregated is None else aggregated
            if metrics is not None:
                result.train_metrics_clientapp[current_round] = metrics
            self._evaluate(current_round, arrays, grid, result)
        result.arrays = arrays
        return result

    def _evaluate(
        self, current_round: int, arrays: ArrayRecord, grid: Grid, result: Result
    ) -> None:
        asked = self.configure_evaluate(current_round, arrays, ConfigRecord(), grid)
        measured = self.aggregate_evaluate(current_round, grid.send_and_receive(asked))
        if measured is None:
            return
        result.evaluate_metrics_clientapp[current_round] = measured
        loss = measured["eval_loss"]
        if isinstance(loss, float) and loss < self.best_loss:
            self.best_loss = loss
            self.best_rounds.append(current_round)


class MutatesItsState(FedAvg):
    """Keeps running means that it changes in place, and a growing history."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.running_means: dict[str, NDArray[Any]] = {}
        self.history: list[tuple[int, float]] = []

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate as FedAvg does, then smooth over the rounds."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None:
            return arrays, metrics
        for name, array in arrays.items():
            value = array.numpy()
            mean = self.running_means.setdefault(name, np.zeros_like(value))
            mean *= 0.5
            mean += 0.5 * value
        total = float(sum(mean.sum() for mean in self.running_means.values()))
        self.history.append((server_round, total))
        return arrays, metrics


class EvaluatesItself(FedAvg):
    """Hands its own method to `start` as the central evaluation."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.measured: dict[int, float] = {}

    def evaluate_fn(self, server_round: int, arrays: ArrayRecord) -> MetricRecord:
        """Measure the arrays, and remember the result."""
        total = float(sum(np.abs(array.numpy()).sum() for array in arrays.values()))
        self.measured[server_round] = total
        return MetricRecord({"loss": total})

    def start(  # type: ignore[override]  # as users narrow it
        self, grid: Grid, initial_arrays: ArrayRecord, **options: Any
    ) -> Result:
        """Start as usual, with this class's evaluation."""
        options["evaluate_fn"] = self.evaluate_fn
        return super().start(grid, initial_arrays, **options)


class ConfiguresEachNode(FedAdagrad):
    """Decays the learning rate, and tells only half of the nodes to augment."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure as FedAdagrad does, with another configuration for each node."""
        config["lr"] = 0.5**server_round
        messages = list(super().configure_train(server_round, arrays, config, grid))
        for position, message in enumerate(messages):
            content = message.content.copy()
            own = ConfigRecord({**config, "augment": position % 2 == 0})
            content[self.configrecord_key] = own
            message.content = content
        return messages


class SometimesNothing(FedAvg):
    """Gives no model in every second round."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate in odd rounds only."""
        if server_round % 2 == 0:
            return None, MetricRecord({"skipped": 1})
        return super().aggregate_train(server_round, replies)


class LazyMessages(FedAvg):
    """Yields its messages, and reads its replies once."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterator[Message]:
        """Yield what FedAvg would send."""
        yield from super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate a one-pass view of the replies."""
        return super().aggregate_train(server_round, list(iter(replies)))


class DynamicAttributes(FedAvg):
    """Has a checked property, and attributes that only `__getattr__` knows."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self._patience = 3

    @property
    def patience(self) -> int:
        """Rounds to wait."""
        return self._patience

    @patience.setter
    def patience(self, value: int) -> None:
        if value < 1:
            raise ValueError("patience must be 1 or more")
        self._patience = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["options"][name]
        except KeyError:
            raise AttributeError(name) from None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send what the dynamic attributes say."""
        config["patience"] = self.patience
        config["schedule"] = self.schedule
        return super().configure_train(server_round, arrays, config, grid)


class Composition(Strategy):
    """Holds a strategy and passes everything on, scaling the training metrics."""

    def __init__(self, strategy: Strategy, scale: float) -> None:
        self.strategy = strategy
        self.scale = scale

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure as the held strategy does."""
        return self.strategy.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate as the held strategy does; scale the metrics."""
        arrays, metrics = self.strategy.aggregate_train(server_round, replies)
        if metrics is None:
            return arrays, metrics
        scaled = MetricRecord()
        for name, value in metrics.items():
            if isinstance(value, float):
                scaled[name] = value * self.scale
        return arrays, scaled

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure as the held strategy does."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate as the held strategy does."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log the held strategy's summary."""
        self.strategy.summary()
