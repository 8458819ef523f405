"""Federations of four nodes that answer with ready-made arrays after a fixed time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from benchmarks.measuring import MIB
from federation.in_process_grid import InProcessGrid
from federation.legacy_federation import OrderedServer
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.app.message_type import MessageType
from flwr.common import (
    Code,
    EvaluateRes,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
)
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy

__all__ = ["run_legacy", "run_message"]

NODES = 4
LAYERS = 16
_OK = Status(Code.OK, "")


@cache
def layers(megabytes: int) -> list[np.ndarray[Any, Any]]:
    """Return the arrays that each node answers with."""
    generator = np.random.default_rng(0)
    size = megabytes * MIB // 4 // LAYERS
    return [generator.random(size, np.float32) for _ in range(LAYERS)]


class TimedGrid(InProcessGrid):
    """Answers every message after the same time."""

    def __init__(self, megabytes: int, seconds: float) -> None:
        super().__init__(None, node_ids=range(1, NODES + 1))  # type: ignore[arg-type]
        self._seconds = seconds
        self._arrays = {
            f"layer{n}": Array(layer) for n, layer in enumerate(layers(megabytes))
        }

    @property
    def initial(self) -> ArrayRecord:
        """The first model."""
        return ArrayRecord(dict(self._arrays))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Wait, and return a reply to each message."""
        messages = list(messages)
        time.sleep(self._seconds)
        return [self._answer(number, each) for number, each in enumerate(messages)]

    def _answer(self, number: int, message: Message) -> Message:
        message.metadata.__dict__["_message_id"] = str(number)
        content = RecordDict(
            {"metrics": MetricRecord({"num-examples": 10, "loss": 1.0})}
        )
        if message.metadata.message_type == MessageType.TRAIN:
            content["arrays"] = self.initial
        return Message(content, reply_to=message)


def run_message(strategy: Any, megabytes: int, seconds: float, rounds: int) -> None:
    """Run a strategy of the message API."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    grid = TimedGrid(megabytes, seconds)
    strategy.start(grid=grid, initial_arrays=grid.initial, num_rounds=rounds)


class TimedProxy(ClientProxy):
    """One of the nodes; the first lets all of them work."""

    def __init__(self, number: int, parameters: Parameters, seconds: float) -> None:
        super().__init__(str(number))
        self._parameters = parameters
        self._seconds = seconds if number == 0 else 0.0

    def fit(self, ins: Any, timeout: float | None, group_id: int | None) -> FitRes:
        """Return ready-made parameters."""
        time.sleep(self._seconds)
        return FitRes(_OK, self._parameters, 10, {"loss": 1.0})

    def evaluate(
        self, ins: Any, timeout: float | None, group_id: int | None
    ) -> EvaluateRes:
        """Return a loss."""
        time.sleep(self._seconds)
        return EvaluateRes(_OK, 1.0, 10, {})

    def get_properties(self, *_: Any) -> Any:
        """Return nothing."""

    def get_parameters(self, *_: Any) -> Any:
        """Return nothing; the server has the first model."""

    def reconnect(self, *_: Any) -> Any:
        """Do nothing."""


def run_legacy(strategy: Any, megabytes: int, seconds: float, rounds: int) -> None:
    """Run a strategy of the legacy API."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    parameters = ndarrays_to_parameters(layers(megabytes))
    manager = SimpleClientManager()
    for number in range(NODES):
        manager.register(TimedProxy(number, parameters, seconds))
    strategy.initial_parameters = parameters
    OrderedServer(client_manager=manager, strategy=strategy).fit(rounds, timeout=None)
