"""What the catalogue lists: how to build a federation afresh, under a name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from flwr.app import ArrayRecord, MetricRecord

from federation.clients import Arrays, Clients, NumpyClients
from federation.legacy_clients import TensorFormat

__all__ = ["Entry", "LegacySetup", "MessageSetup"]

Api = Literal["message", "legacy"]
EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]


@dataclass(frozen=True)
class MessageSetup:
    """A message API strategy, its first arrays and its nodes."""

    strategy: Any
    initial: Arrays
    clients: Clients = field(default_factory=NumpyClients)


@dataclass(frozen=True)
class LegacySetup:
    """A legacy strategy, its first arrays, its nodes and how arrays travel.

    Attributes
    ----------
    workflow : callable or None
        What drives the strategy in place of a server, as a secure aggregation does.
    secure : bool
        The nodes take part in secure aggregation.
    """

    strategy: Any
    initial: Arrays
    tensor_format: TensorFormat
    clients: Clients = field(default_factory=NumpyClients)
    workflow: Callable[[Any, Any], None] | None = None
    secure: bool = False


@dataclass(frozen=True)
class Entry:
    """A strategy under a name, built afresh by each `make`.

    Attributes
    ----------
    prepare : callable
        What an app does to the strategy that it will start, wrapped or bare.
    unregistrable : bool
        Whether the strategy returns something other than a model: training must go on,
        and no version may appear.
    """

    name: str
    api: Api
    make: Callable[[], MessageSetup | LegacySetup]
    prepare: Callable[[Any], None] = lambda strategy: None
    unregistrable: bool = False

    def __str__(self) -> str:
        return f"{self.api}-{self.name}"
