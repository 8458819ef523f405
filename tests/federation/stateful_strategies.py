"""Strategies of both APIs that carry what Python and torch offer between rounds."""

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, Message, MetricRecord
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg

from federation.clients import floating_model
from federation.entries import Entry, LegacySetup, MessageSetup
from federation.legacy_clients import NumpyFormat

__all__ = ["STATEFUL_ENTRIES", "reset_classes"]


@dataclass(frozen=True, slots=True)
class Best:
    """The best round so far."""

    server_round: int = 0
    loss: float = float("inf")


@dataclass
class Progress:
    """What a strategy remembers of its rounds."""

    best: Best = field(default_factory=Best)
    rounds: list[Best] = field(default_factory=list)


class Carrying:
    """Moves each aggregate by what a network, generators and containers say."""

    steps = 0
    seen: ClassVar[list[int]] = []

    def carry(self) -> None:
        """Build what is carried, as a constructor does."""
        self.network = torch.nn.Sequential(
            torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5)
        )
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.fill_(0.3)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 2)
        self.of_torch = torch.Generator().manual_seed(1)
        self.draws = [np.random.RandomState(2), np.random.Generator(np.random.SFC64(3))]
        self.of_python = random.Random(4)
        self.average: torch.Tensor | None = None
        self.by_round: defaultdict[str, list[float]] = defaultdict(lambda: [0.0])
        self.window: deque[float] = deque(maxlen=2)
        self.order: OrderedDict[int, float] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self.progress = Progress()

    def shift(self, server_round: int) -> float:
        """Learn for a round; return by how much to move the aggregate."""
        given = torch.randn(4, 2, generator=self.of_torch) + torch.rand(1)
        loss = self.network(given).square().sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        value = loss.detach().to(torch.bfloat16).reshape(1)
        self.average = value if self.average is None else (self.average + value) / 2
        drawn = sum(each.random() for each in self.draws) + self.of_python.random()
        total = float(self.average[0]) + drawn
        self.by_round[f"of {server_round % 2}"].append(total)
        self.window.append(total)
        self.order[server_round] = total
        self.order.move_to_end(server_round, last=False)
        self.counts.update([str(server_round % 2)])
        type(self).steps += 1
        self.seen.append(server_round)
        self._remember(server_round, total)
        parts = (*self.window, *self.order.values(), *self.by_round["of 1"])
        return 1e-3 * (sum(parts) + self.steps + sum(self.seen) + self.counts["1"])

    def _remember(self, server_round: int, total: float) -> None:
        found = replace(self.progress.best, server_round=server_round, loss=total)
        self.progress.rounds.append(found)
        self.progress.best = min(self.progress.rounds, key=lambda each: each.loss)


class CarryingFedAvg(Carrying, FedAvg):
    """Of the message API."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.carry()

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate, then move."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None:
            return arrays, metrics
        by = self.shift(server_round)
        moved = {name: Array(each.numpy() + by) for name, each in arrays.items()}
        return ArrayRecord(moved), metrics


class CarryingLegacyFedAvg(Carrying, LegacyFedAvg):
    """Of the legacy API."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.carry()

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Aggregate, then move."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is None:
            return parameters, metrics
        by = self.shift(server_round)
        arrays = [each + by for each in parameters_to_ndarrays(parameters)]
        return ndarrays_to_parameters(arrays), metrics


def reset_classes() -> None:
    """Let the next run find the classes as a new process does."""
    for kind in (Carrying, CarryingFedAvg, CarryingLegacyFedAvg):
        if "steps" in vars(kind):
            del kind.steps
    Carrying.steps = 0
    Carrying.seen.clear()


STATEFUL_ENTRIES = (
    Entry(
        "Carrying",
        "message",
        lambda: MessageSetup(CarryingFedAvg(fraction_train=0.5), floating_model()),
    ),
    Entry(
        "Carrying",
        "legacy",
        lambda: LegacySetup(
            CarryingLegacyFedAvg(fraction_fit=0.5),
            floating_model(),
            NumpyFormat(tuple(floating_model())),
        ),
    ),
)
