"""Legacy strategies that lean on Python more than most."""

from functools import partial
from typing import Any

from flwr.common import FitIns, Parameters, Scalar
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAdam, FedAvg

__all__ = [
    "LegacyDelegate",
    "LegacyLooksAtItsType",
    "LegacySlots",
    "LegacyTwoMessages",
    "assign_legacy_hooks",
]

Aggregate = tuple[Parameters | None, dict[str, Scalar]]


class LegacySlots(FedAvg):
    """Counts in slots."""

    __slots__ = ("__calls", "sizes")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sizes: dict[int, int] = {}
        self.__calls = 0

    def aggregate_fit(
        self, server_round: int, results: Any, failures: Any
    ) -> Aggregate:
        """Aggregate as FedAvg does, and count."""
        self.sizes[server_round] = len(results)
        self.__calls += 1
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        return parameters, {**metrics, "calls": self.__calls}


class LegacyLooksAtItsType(FedAdam):
    """Finds its base by `type(self)`."""

    def aggregate_fit(
        self, server_round: int, results: Any, failures: Any
    ) -> Aggregate:
        """Aggregate as the next base does."""
        if type(self) is not LegacyLooksAtItsType:
            raise TypeError(f"made for LegacyLooksAtItsType, not for {type(self)}")
        return super(type(self), self).aggregate_fit(server_round, results, failures)


class LegacyDelegate:
    """No strategy by class: it has the hooks of the one that it holds."""

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.strategy, name)

    def configure_fit(self, **named: Any) -> list[tuple[ClientProxy, FitIns]]:
        """Count, and configure as the held strategy does."""
        self.asked += 1
        return self.strategy.configure_fit(**named)


class LegacyTwoMessages(FedAvg):
    """Sends each client two tasks."""

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Configure as FedAvg does, twice."""
        chosen = super().configure_fit(server_round, parameters, client_manager)
        return [
            (proxy, FitIns(ins.parameters, {**ins.config, "rate": rate}))
            for rate in (0.1, 0.01)
            for proxy, ins in chosen
        ]


def assign_legacy_hooks(strategy: Any) -> None:
    """Give a strategy hooks of its object's own."""

    def aggregate(
        server_round: int, results: Any, failures: Any, scale: float = 2.0
    ) -> Aggregate:
        strategy.last_scale = scale
        return aggregated(server_round, results, failures)

    aggregated = strategy.aggregate_fit
    strategy.aggregate_fit = aggregate
    strategy.configure_fit = partial(FedAvg.configure_fit, strategy)
    evaluated = strategy.evaluate
    strategy.evaluate = lambda server_round, parameters: evaluated(
        server_round, parameters
    )
    initialized = strategy.initialize_parameters
    strategy.initialize_parameters = lambda client_manager: initialized(client_manager)
