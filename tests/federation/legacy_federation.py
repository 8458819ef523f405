"""Flower's legacy `Server`, driven over in-process proxies in a fixed order."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flwr.common import EvaluateRes, FitRes, Parameters, Scalar
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.server import (
    EvaluateResultsAndFailures,
    FitResultsAndFailures,
    Server,
)
from flwr.server.strategy import Strategy

from federation.clients import NODE_IDS, Arrays, Clients
from federation.faults import Fault, NodeLostError
from federation.in_process_grid import InProcessGrid
from federation.legacy_clients import InProcessProxy, TensorFormat, Traffic

__all__ = ["OrderedServer", "federate"]

Reply = FitRes | EvaluateRes


class OrderedServer(Server):
    """A `Server` whose replies come in the order in which it asked.

    Flower collects them from a set of futures, so in no order at all; only the
    collecting is replaced here.

    Parameters
    ----------
    arrival_seed : int or None
        Shuffles the replies; None keeps the order in which the server asked.
    """

    def __init__(
        self,
        *,
        client_manager: SimpleClientManager,
        strategy: Strategy,
        arrival_seed: int | None = None,
    ) -> None:
        super().__init__(client_manager=client_manager, strategy=strategy)
        self._arrival = None if arrival_seed is None else random.Random(arrival_seed)

    def fit_round(
        self, server_round: int, timeout: float | None
    ) -> tuple[Parameters | None, dict[str, Scalar], FitResultsAndFailures] | None:
        """Run one round of training as `Server.fit_round` does."""
        instructions = self.strategy.configure_fit(
            server_round=server_round,
            parameters=self.parameters,
            client_manager=self._client_manager,
        )
        if not instructions:
            return None
        results, failures = self._collect(
            instructions,
            lambda proxy, ins: proxy.fit(ins, timeout=timeout, group_id=server_round),
        )
        aggregate = self.strategy.aggregate_fit(server_round, results, failures)
        return *aggregate, (results, failures)

    def evaluate_round(
        self, server_round: int, timeout: float | None
    ) -> tuple[float | None, dict[str, Scalar], EvaluateResultsAndFailures] | None:
        """Run one round of evaluation as `Server.evaluate_round` does."""
        instructions = self.strategy.configure_evaluate(
            server_round=server_round,
            parameters=self.parameters,
            client_manager=self._client_manager,
        )
        if not instructions:
            return None
        results, failures = self._collect(
            instructions,
            lambda proxy, ins: proxy.evaluate(
                ins, timeout=timeout, group_id=server_round
            ),
        )
        aggregate = self.strategy.aggregate_evaluate(server_round, results, failures)
        return *aggregate, (results, failures)

    def _collect(
        self,
        instructions: Sequence[tuple[ClientProxy, Any]],
        ask: Callable[[ClientProxy, Any], Any],
    ) -> tuple[list[Any], list[Any]]:
        results: list[tuple[ClientProxy, Reply]] = []
        failures: list[NodeLostError] = []
        for proxy, ins in instructions:
            try:
                results.append((proxy, ask(proxy, ins)))
            except NodeLostError as error:
                failures.append(error)
        if self._arrival is not None:
            self._arrival.shuffle(results)
        return results, failures


def federate(
    clients: Clients,
    tensor_format: TensorFormat,
    initial: Arrays,
    *,
    faults: Iterable[Fault] = (),
    node_ids: Sequence[int] = NODE_IDS,
) -> tuple[SimpleClientManager, Traffic]:
    """Return a client manager with all nodes registered, and what they share."""
    grid = InProcessGrid(clients, node_ids=node_ids)
    traffic = Traffic(clients, tensor_format, initial, tuple(faults), grid)
    manager = SimpleClientManager()
    for node_id in node_ids:
        manager.register(InProcessProxy(node_id, traffic))
    return manager, traffic
