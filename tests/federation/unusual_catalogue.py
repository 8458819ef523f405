"""A second catalogue: strategies as users write them, where wrapping is hard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg

from federation import unusual_legacy_strategies as legacy
from federation import unusual_strategies as message
from federation.clients import Answer, Arrays, NumpyClients, floating_model
from federation.entries import Entry, LegacySetup, MessageSetup
from federation.legacy_catalogue import options_for
from federation.legacy_clients import NumpyFormat

__all__ = ["UNUSUAL_ENTRIES"]


@dataclass(frozen=True)
class TalkativeClients(NumpyClients):
    """Nodes that put their whole model into their metrics."""

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return the arrays twice."""
        answer = super().train(node_id, server_round, arrays, config)
        copied: Any = {
            name: [float(value) for value in array.ravel()] * 20
            for name, array in answer.arrays.items()
        }
        return replace(answer, metrics={**answer.metrics, **copied})


def _message(name: str, make: Callable[[], Any], **kind: Any) -> Entry:
    clients = kind.pop("clients", NumpyClients())

    def setup() -> MessageSetup:
        return MessageSetup(make(), floating_model(), clients)

    return Entry(name, "message", setup, **kind)


def _legacy(name: str, make: Callable[..., Any], **kind: Any) -> Entry:
    clients, left_out = kind.pop("clients", NumpyClients()), kind.pop("without", ())

    def setup() -> LegacySetup:
        initial = floating_model()
        options = options_for(initial)
        for option in left_out:
            del options[option]
        tensors = NumpyFormat(tuple(initial))
        return LegacySetup(make(**options), initial, tensors, clients)

    return Entry(name, "legacy", setup, **kind)


def _with_hooks(make: Callable[..., Any], assign: Callable[[Any], None]) -> Any:
    def made(**options: Any) -> Any:
        strategy = make(**options)
        assign(strategy)
        return strategy

    return made


def _delegating(**options: Any) -> legacy.LegacyDelegate:
    return legacy.LegacyDelegate(LegacyFedAvg(**options))


_MESSAGE = [
    _message("SlotsAlone", message.SlotsAlone),
    _message("SlottedDataclass", message.SlottedDataclass),
    _message("FrozenDataclass", message.FrozenDataclass),
    _message("hooks-of-the-object", _with_hooks(FedAvg, message.assign_hooks)),
    _message("hooks-of-the-wrapper", FedAvg, prepare=message.assign_hooks),
    _message("LooksAtItsType", message.LooksAtItsType),
    _message("OwnLoopLooksAtItsType", message.OwnLoopLooksAtItsType),
    _message("WithKeyword", message.WithKeyword),
    _message("RegisteredByMetaclass", message.RegisteredByMetaclass),
    _message("AttributeReader", message.AttributeReader),
    _message("TwoMessages", message.TwoMessages),
    _message("models-in-metrics", FedAvg, clients=TalkativeClients()),
    _message("ModuleAndOptimizer", message.ModuleAndOptimizer),
]

_LEGACY = [
    _legacy("Slots", legacy.LegacySlots),
    _legacy("LooksAtItsType", legacy.LegacyLooksAtItsType),
    _legacy(
        "hooks-of-the-object", _with_hooks(LegacyFedAvg, legacy.assign_legacy_hooks)
    ),
    _legacy("hooks-of-the-wrapper", LegacyFedAvg, prepare=legacy.assign_legacy_hooks),
    _legacy("Delegate", _delegating),
    _legacy("TwoMessages", legacy.LegacyTwoMessages),
    _legacy(
        "models-in-metrics",
        LegacyFedAvg,
        clients=TalkativeClients(),
        without=("fit_metrics_aggregation_fn",),
    ),
]

UNUSUAL_ENTRIES = (*_MESSAGE, *_LEGACY)
