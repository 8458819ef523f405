"""Sound trainings whose models do not look like the initial one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.common import (
    FitRes,
    Parameters,
    Scalar,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server import strategy as legacy
from flwr.server.client_proxy import ClientProxy
from flwr.serverapp import strategy as message
from flwr.serverapp.strategy import FedAvg

from federation.clients import NODE_IDS, Answer, Arrays, NumpyClients
from federation.entries import Api, Entry, LegacySetup, MessageSetup
from federation.in_process_grid import to_arrays, to_record
from federation.legacy_clients import NumpyFormat
from flwr_registry import ModelValidator

__all__ = [
    "ANY_LOSS",
    "RESHAPING",
    "AnsweringClients",
    "Reshaping",
    "entry_of",
    "reshaping_by",
]

ANY_LOSS = ModelValidator(
    metric_ranges={"loss": (None, None), "central_loss": (None, None)}
)
"""The loss that is measured here is not finite where a model has a mask of infinities.
"""

Reshape = Callable[[Arrays, int], Arrays]
ALL = len(NODE_IDS)


class NumberedFormat(NumpyFormat):
    """Flower's own form of tensors, however many there are."""

    def unpack(self, parameters: Parameters) -> Arrays:
        """Return the arrays under their places."""
        return {str(i): a for i, a in enumerate(parameters_to_ndarrays(parameters))}


class ReshapingFedAvg(FedAvg):
    """Makes another model of each average."""

    reshape: Reshape

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average and reshape."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        assert arrays is not None
        reshape = type(self).reshape
        return to_record(reshape(to_arrays(arrays), server_round)), metrics


class LegacyReshapingFedAvg(legacy.FedAvg):
    """The same for the legacy API."""

    reshape: Reshape

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[Any],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Average and reshape."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        assert parameters is not None
        arrays = dict(enumerate(parameters_to_ndarrays(parameters)))
        named = {str(place): array for place, array in arrays.items()}
        reshape = type(self).reshape
        return ndarrays_to_parameters(
            list(reshape(named, server_round).values())
        ), metrics


@dataclass(frozen=True)
class AnsweringClients(NumpyClients):
    """Nodes that answer with arrays of a dtype or shape of their own.

    Attributes
    ----------
    dtype : str
        Of all floats; empty for that of the arrays that came.
    shape : tuple of int
        Of what came without a value.
    counts : bool
        Integers count on, whatever was made of them on the way.
    """

    dtype: str = ""
    shape: tuple[int, ...] = ()
    counts: bool = False

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return the arrays one noisy step on."""
        filled = {
            name: array if array.size else np.zeros(self.shape, array.dtype)
            for name, array in arrays.items()
        }
        answer = super().train(node_id, server_round, filled, config)
        sent = {
            name: self._as_sent(array, arrays[name])
            for name, array in answer.arrays.items()
        }
        return Answer(answer.num_examples, answer.metrics, sent)

    def _as_sent(self, moved: Any, came: Any) -> Any:
        if self.counts and came.ndim == 0:
            return np.asarray(int(came) + 1)
        if self.dtype and moved.dtype.kind == "f":
            return moved.astype(self.dtype)
        return moved


def _initial(dtype: str = "f4", **more: Any) -> Arrays:
    generator = np.random.default_rng(20)
    layers = {
        "conv.weight": generator.normal(size=(3, 2)).astype(dtype),
        "head.weight": generator.normal(size=4).astype(dtype),
    }
    return layers | more


def _doubled(arrays: Arrays, server_round: int) -> Arrays:
    own = dict(list(arrays.items())[:2])
    return own | {f"twice.{name}": 2 * array for name, array in own.items()}


def _with_control(arrays: Arrays, server_round: int) -> Arrays:
    own = dict(list(arrays.items())[:2])
    return {**own, "control": np.full(3, server_round, np.float64)}


def _adapters(arrays: Arrays, server_round: int) -> Arrays:
    return dict(list(arrays.items())[-1:])


def _reordered(arrays: Arrays, server_round: int) -> Arrays:
    return dict(reversed(arrays.items())) if server_round == 1 else arrays


def _halves(arrays: Arrays, server_round: int) -> Arrays:
    return {name: array.astype(np.float16) for name, array in arrays.items()}


def _halves_from_round_3(arrays: Arrays, server_round: int) -> Arrays:
    dtype = np.float16 if server_round >= 3 else np.float32
    return {name: array.astype(dtype) for name, array in arrays.items()}


def _mask_of_the_first(arrays: Arrays, server_round: int) -> Arrays:
    mask = np.array([0, -np.inf, np.nan], np.float32)
    return {**dict(list(arrays.items())[:2]), "mask": mask}


@dataclass(frozen=True)
class Reshaping:
    """A sound training, and what its versions are.

    Attributes
    ----------
    message_strategy, legacy_strategy : callable
        Make the strategies, given what they are to start with.
    versions : tuple of str
        Of four rounds, by number.
    """

    name: str
    message_strategy: Callable[[], Any]
    legacy_strategy: Callable[..., Any]
    initial: Callable[[], Arrays] = _initial
    clients: NumpyClients = field(default_factory=NumpyClients)
    versions: tuple[str, ...] = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")

    def __str__(self) -> str:
        return self.name


def reshaping_by(reshape: Reshape, **how: Any) -> Reshaping:
    """Make the case of a FedAvg whose averages are reshaped."""
    name = reshape.__name__.strip("_")
    own: dict[str, Any] = {"reshape": reshape, "__module__": __name__}
    return Reshaping(
        name,
        type(f"Message_{name}", (ReshapingFedAvg,), own),
        type(f"Legacy_{name}", (LegacyReshapingFedAvg,), own),
        **how,
    )


def _private(inner: Any) -> Any:
    return message.DifferentialPrivacyServerSideFixedClipping(inner, 0.5, 1.0, ALL)


def _legacy_private(**options: Any) -> Any:
    inner = legacy.FedAvg(**options)
    return legacy.DifferentialPrivacyServerSideFixedClipping(inner, 0.5, 1.0, ALL)


def _counting() -> Arrays:
    return _initial(counter=np.array(17, np.int64))


def _placeholder() -> Arrays:
    return {"adapter": np.zeros(0, np.float32), "scale": np.ones(2, np.float32)}


def _masked() -> Arrays:
    return _initial(mask=np.array([0, -np.inf, np.inf], np.float32))


def _unset() -> Arrays:
    return _initial(unset=np.array([np.nan, 1, np.nan]))


FLOAT32 = AnsweringClients(dtype="f4")
COUNTING = AnsweringClients(dtype="f4", counts=True)

RESHAPING = (
    reshaping_by(_doubled),
    reshaping_by(_with_control),
    reshaping_by(_adapters),
    reshaping_by(_reordered),
    reshaping_by(_halves),
    reshaping_by(_halves_from_round_3, versions=("1.0.0", "1.1.0", "2.0.0", "2.1.0")),
    reshaping_by(_mask_of_the_first),
    Reshaping(
        "placeholder",
        FedAvg,
        legacy.FedAvg,
        _placeholder,
        AnsweringClients(shape=(2, 3)),
    ),
    Reshaping("float64", FedAvg, legacy.FedAvg, lambda: _initial("f8"), FLOAT32),
    Reshaping("mask", FedAvg, legacy.FedAvg, _masked),
    Reshaping("unset", FedAvg, legacy.FedAvg, _unset),
    Reshaping("FedAdam", message.FedAdam, legacy.FedAdam, clients=FLOAT32),
    Reshaping("QFedAvg", lambda: message.QFedAvg(0.1), legacy.QFedAvg, clients=FLOAT32),
    Reshaping("private", lambda: _private(FedAvg()), _legacy_private, clients=FLOAT32),
    Reshaping(
        "Krum",
        lambda: message.Krum(num_malicious_nodes=1),
        lambda **options: legacy.Krum(num_malicious_clients=1, **options),
        _counting,
        COUNTING,
    ),
    Reshaping("counter", message.FedMedian, legacy.FedMedian, _counting, COUNTING),
)


def entry_of(case: Reshaping, api: Api, *, asks_a_node: bool = False) -> Entry:
    """Make an entry of a case.

    Parameters
    ----------
    asks_a_node : bool
        The legacy strategy has no initial parameters, so that the server asks a node.
    """

    def setup() -> MessageSetup | LegacySetup:
        initial = case.initial()
        if api == "message":
            return MessageSetup(case.message_strategy(), initial, case.clients)
        options: dict[str, Any] = {"evaluate_fn": _absolute_sum}
        if not asks_a_node:
            options["initial_parameters"] = ndarrays_to_parameters(
                list(initial.values())
            )
        strategy = case.legacy_strategy(**options)
        return LegacySetup(strategy, initial, NumberedFormat(()), case.clients)

    return Entry(case.name, api, setup)


def _absolute_sum(
    server_round: int, arrays: list[Any], config: dict[str, Scalar]
) -> tuple[float, dict[str, Scalar]]:
    return float(sum(np.abs(array).sum() for array in arrays)), {}
