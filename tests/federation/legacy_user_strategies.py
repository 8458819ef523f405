"""Legacy strategies as users write them."""

from typing import Any

import numpy as np
from flwr.common import (
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    Parameters,
    Scalar,
    parameters_to_ndarrays,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAdam, FedAvg, Strategy
from numpy.typing import NDArray

__all__ = [
    "LegacyComposition",
    "LegacyConfiguresEachNode",
    "LegacyDynamicAttributes",
    "LegacyEvaluatesItself",
    "LegacyMutatesItsState",
    "LegacySometimesNothing",
]

Aggregate = tuple[Parameters | None, dict[str, Scalar]]
FitResults = list[tuple[ClientProxy, FitRes]]
EvaluateResults = list[tuple[ClientProxy, EvaluateRes]]
Failures = list[Any]


class LegacyMutatesItsState(FedAdam):
    """Saves each round's model in itself, and sums the models in place."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sums: list[NDArray[Any]] = []
        self.history: list[tuple[int, int]] = []

    def aggregate_fit(
        self, server_round: int, results: FitResults, failures: Failures
    ) -> Aggregate:
        """Aggregate as FedAdam does, then sum."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is None:
            return parameters, metrics
        arrays = parameters_to_ndarrays(parameters)
        self.sums = self.sums or [np.zeros_like(array) for array in arrays]
        for total, array in zip(self.sums, arrays, strict=True):
            total += array
        self.history.append((server_round, len(results)))
        return parameters, metrics | {"nodes": len(results)}


class LegacyEvaluatesItself(FedAvg):
    """Overrides the central evaluation and keeps the best model's round."""

    best_loss = float("inf")
    best_round = -1

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Scalar]] | None:
        """Measure the parameters, except in round 2."""
        if server_round == 2:
            return None
        arrays = parameters_to_ndarrays(parameters)
        loss = float(sum(np.abs(array).sum() for array in arrays))
        if loss < self.best_loss:
            self.best_loss, self.best_round = loss, server_round
        return loss, {"best_round": self.best_round}


class LegacyConfiguresEachNode(FedAvg):
    """Sends half of the nodes a higher learning rate, as Flower's tutorial does."""

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Configure as FedAvg does, with another configuration for each node."""
        chosen = super().configure_fit(server_round, parameters, client_manager)
        configured = []
        for position, (proxy, ins) in enumerate(chosen):
            rate = 0.003 if position < len(chosen) // 2 else 0.001
            config = {**ins.config, "lr": rate, "round": server_round}
            configured.append((proxy, FitIns(ins.parameters, config)))
        return configured


class LegacySometimesNothing(FedAvg):
    """Gives no model in every second round."""

    def aggregate_fit(
        self, server_round: int, results: FitResults, failures: Failures
    ) -> Aggregate:
        """Aggregate in odd rounds only."""
        if server_round % 2 == 0:
            return None, {"skipped": True}
        return super().aggregate_fit(server_round, results, failures)


class LegacyDynamicAttributes(FedAvg):
    """Has a property, and attributes that only `__getattr__` knows."""

    def __init__(self, *, schedule: str, **options: Any) -> None:
        self.options = {"schedule": schedule}
        super().__init__(**options)
        self.on_fit_config_fn = self._config

    @property
    def rounds_left(self) -> int:
        """Rounds until the schedule ends."""
        return 10

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["options"][name]
        except KeyError:
            raise AttributeError(name) from None

    def _config(self, server_round: int) -> dict[str, Scalar]:
        return {"schedule": self.schedule, "left": self.rounds_left - server_round}


class LegacyComposition(Strategy):
    """Holds a strategy and passes everything on, counting its calls."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.calls: list[str] = []

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters | None:
        """Initialize as the held strategy does."""
        self.calls.append("initialize_parameters")
        return self.strategy.initialize_parameters(client_manager)

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Configure as the held strategy does."""
        self.calls.append("configure_fit")
        return self.strategy.configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(
        self, server_round: int, results: FitResults, failures: Failures
    ) -> Aggregate:
        """Aggregate as the held strategy does."""
        self.calls.append("aggregate_fit")
        return self.strategy.aggregate_fit(server_round, results, failures)

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """Configure as the held strategy does."""
        self.calls.append("configure_evaluate")
        return self.strategy.configure_evaluate(
            server_round, parameters, client_manager
        )

    def aggregate_evaluate(
        self, server_round: int, results: EvaluateResults, failures: Failures
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Aggregate as the held strategy does."""
        self.calls.append("aggregate_evaluate")
        return self.strategy.aggregate_evaluate(server_round, results, failures)

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Scalar]] | None:
        """Evaluate as the held strategy does."""
        self.calls.append("evaluate")
        return self.strategy.evaluate(server_round, parameters)
