"""Message strategies that lean on Python more than most: slots, hooks, classes."""

from abc import ABCMeta
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result, Strategy

__all__ = [
    "AttributeReader",
    "FrozenDataclass",
    "LooksAtItsType",
    "ModuleAndOptimizer",
    "OwnLoopLooksAtItsType",
    "RegisteredByMetaclass",
    "SlotsAlone",
    "SlottedDataclass",
    "TwoMessages",
    "WithKeyword",
    "assign_hooks",
]

Aggregate = tuple[ArrayRecord | None, MetricRecord | None]


class _Counting(FedAvg):
    """A base with a slot and a private one of its own."""

    __slots__ = ("__calls", "rounds")

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[int] = []
        self.__calls = 0

    def count(self, server_round: int) -> int:
        """Count a round."""
        self.rounds.append(server_round)
        self.__calls += 1
        return self.__calls


class SlotsAlone(_Counting):
    """Smooths the model with a momentum that lies in a slot."""

    __slots__ = ("__calls", "momentum")

    def __init__(self) -> None:
        super().__init__()
        self.momentum: dict[str, Any] = {}
        self.__calls = 100

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate, then add the momentum."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        self.__calls += self.count(server_round)
        if arrays is None:
            return arrays, metrics
        self.momentum = {
            name: 0.5 * self.momentum.get(name, 0.0) + array.numpy()
            for name, array in arrays.items()
        }
        given = {name: Array(np.asarray(each)) for name, each in self.momentum.items()}
        return ArrayRecord(given), MetricRecord({"calls": self.__calls})


@dataclass(slots=True)
class SlottedDataclass(Strategy):
    """Hands on to FedAvg; counts in a field."""

    inner: FedAvg = field(default_factory=FedAvg)
    seen: dict[int, int] = field(default_factory=dict)
    last: MetricRecord | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure as FedAvg does."""
        config["seen"] = sum(self.seen.values())
        return self.inner.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate as FedAvg does, and count."""
        replies = list(replies)
        self.seen[server_round] = len(replies)
        arrays, self.last = self.inner.aggregate_train(server_round, replies)
        return arrays, self.last

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure as FedAvg does."""
        return self.inner.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate as FedAvg does."""
        return self.inner.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log nothing."""


@dataclass(frozen=True, slots=True)
class FrozenDataclass(Strategy):
    """Cannot be set, but changes what it holds, and one field past its guard."""

    inner: FedAvg = field(default_factory=FedAvg)
    sizes: list[int] = field(default_factory=list)
    total: int = 0

    configure_evaluate = SlottedDataclass.configure_evaluate
    aggregate_evaluate = SlottedDataclass.aggregate_evaluate
    summary = SlottedDataclass.summary

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Tell the nodes how much there was so far."""
        config["total"] = replace(self, total=self.total + 1).total
        return self.inner.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate as FedAvg does, and count."""
        replies = list(replies)
        self.sizes.append(len(replies))
        object.__setattr__(self, "total", self.total + len(replies))
        return self.inner.aggregate_train(server_round, replies)


class LooksAtItsType(FedAvg):
    """Finds itself by class and by name, and its base by `type(self)`."""

    known: ClassVar[dict[type, str]] = {}

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate as the next base does."""
        if type(self) is not LooksAtItsType or self.__class__ is not LooksAtItsType:
            raise TypeError(f"made for LooksAtItsType, not for {type(self)}")
        if self.known[type(self)] != type(self).__name__:
            raise LookupError(type(self).__name__)
        twin = type(self)()
        found = super(type(self), self).aggregate_train(server_round, replies)
        return found if type(twin) is LooksAtItsType else (None, None)


LooksAtItsType.known[LooksAtItsType] = "LooksAtItsType"


class OwnLoopLooksAtItsType(FedAvg):
    """Does in `start` what others do in hooks."""

    def start(self, *args: Any, **kwargs: Any) -> Result:  # type: ignore[override]
        """Start as the next base does."""
        if type(self) != OwnLoopLooksAtItsType:  # noqa: E721
            raise TypeError(f"made for OwnLoopLooksAtItsType, not for {type(self)}")
        self.twin_name = type(type(self)()).__name__
        self.own_name = self.__class__.__name__
        return super(type(self), self).start(*args, **kwargs)

    def summary(self) -> None:
        """Log what the next base does."""
        super(type(self), self).summary()


class _Named(FedAvg):
    def __init_subclass__(cls, *, kind: str, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.kind = kind


class WithKeyword(_Named, kind="plain"):
    """Its bases ask each new class for a keyword."""


class _OneOfAName(ABCMeta):
    names: ClassVar[set[str]] = set()

    def __new__(cls, name: str, bases: Any, namespace: Any) -> Any:
        if name in cls.names:
            raise TypeError(f"there is a {name} already")
        cls.names.add(name)
        return super().__new__(cls, name, bases, namespace)


class RegisteredByMetaclass(FedAvg, metaclass=_OneOfAName):
    """Its metaclass lets each name be used once."""


class AttributeReader(FedAvg):
    """Reads and sets its attributes by methods of its own."""

    def __init__(self) -> None:
        object.__setattr__(self, "held", {})
        super().__init__()

    def __getattribute__(self, name: str) -> Any:
        held = object.__getattribute__(self, "held")
        return held[name] if name in held else super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.held[name] = value

    def __delattr__(self, name: str) -> None:
        del self.held[name]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate, and remember."""
        self.last_round = server_round
        return super().aggregate_train(server_round, replies)


class TwoMessages(FedAvg):
    """Sends each node two tasks."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterator[Message]:
        """Yield one message of each kind for each node."""
        for rate in (0.1, 0.01):
            own = ConfigRecord({**config, "lr": rate})
            yield from super().configure_train(server_round, arrays, own, grid)


class ModuleAndOptimizer(FedAvg):
    """Takes the averaged update for a gradient of its own torch module."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.server = torch.nn.Linear(3, 2)
        self.optimizer = torch.optim.SGD(self.server.parameters(), 0.1, momentum=0.9)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> Aggregate:
        """Aggregate, and step towards it."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None:
            return arrays, metrics
        head = torch.from_numpy(arrays["head.weight"].numpy()).float()
        self.optimizer.zero_grad()
        ((self.server.weight - head) ** 2).sum().backward()
        self.optimizer.step()
        mixed = self.server.weight.detach().numpy().astype(np.float32)
        given = {**arrays, "head.weight": Array(mixed)}
        return ArrayRecord(given), metrics


def assign_hooks(strategy: Any) -> None:
    """Give a strategy hooks of its object's own, as notebooks do."""

    def aggregate(server_round: int, replies: Iterable[Message]) -> Aggregate:
        strategy.last_round = server_round
        return aggregated(server_round, replies)

    def configure(own: Any, server_round: int, *args: Any, rate: float) -> Any:
        own.rates = {**getattr(own, "rates", {}), server_round: rate}
        return FedAvg.configure_train(own, server_round, *args)

    aggregated = strategy.aggregate_train
    strategy.aggregate_train = aggregate
    strategy.configure_train = partial(configure, strategy, rate=0.5)
    evaluated = strategy.aggregate_evaluate
    strategy.aggregate_evaluate = lambda *args: evaluated(*args)
    strategy.start = partial(type(strategy).start, strategy)
