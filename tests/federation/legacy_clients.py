"""The same nodes behind the legacy API's client proxies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from flwr.common import (
    Code,
    DisconnectRes,
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    GetParametersIns,
    GetParametersRes,
    GetPropertiesIns,
    GetPropertiesRes,
    Parameters,
    ReconnectIns,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.compat.grid_client_proxy import GridClientProxy
from numpy.typing import NDArray

from federation.canonical import canonical
from federation.clients import Arrays, Clients
from federation.faults import Fault, FaultKind, NodeLostError, fault_of, poisoned
from federation.in_process_grid import InProcessGrid

__all__ = [
    "AndroidFormat",
    "ForestFormat",
    "InProcessProxy",
    "NumpyFormat",
    "RawFormat",
    "TensorFormat",
    "Traffic",
]

OK = Status(Code.OK, "")


class TensorFormat(Protocol):
    """How arrays travel in the legacy API's nameless `Parameters`."""

    def pack(self, arrays: Arrays) -> Any:
        """Return the arrays as a strategy wants them."""

    def unpack(self, parameters: Any) -> Arrays:
        """Return a strategy's parameters as named arrays."""


@dataclass(frozen=True)
class NumpyFormat:
    """Flower's own: each tensor a .npy image."""

    names: tuple[str, ...]

    def pack(self, arrays: Arrays) -> Parameters:
        """Return the arrays without their names."""
        return ndarrays_to_parameters(list(arrays.values()))

    def unpack(self, parameters: Parameters) -> Arrays:
        """Return the arrays under the names that they were given."""
        arrays: Sequence[NDArray[Any]] = parameters_to_ndarrays(parameters)
        return dict(zip(self.names, arrays, strict=True))


@dataclass(frozen=True)
class RawFormat:
    """Bytes that are no .npy image, such as XGBoost's JSON."""

    def pack(self, arrays: Arrays) -> Parameters:
        """Return the bytes of each array."""
        return Parameters([array.tobytes() for array in arrays.values()], "")

    def unpack(self, parameters: Parameters) -> Arrays:
        """Return each tensor as an array of bytes."""
        tensors = enumerate(parameters.tensors)
        return {str(i): np.frombuffer(tensor, np.uint8) for i, tensor in tensors}


@dataclass(frozen=True)
class AndroidFormat:
    """The bytes of flat float32 arrays, as `FedAvgAndroid` reads them."""

    names: tuple[str, ...]

    def pack(self, arrays: Arrays) -> Parameters:
        """Return the bytes of each array."""
        tensors = [array.astype(np.float32).tobytes() for array in arrays.values()]
        return Parameters(tensors, "numpy.nda")

    def unpack(self, parameters: Parameters) -> Arrays:
        """Return flat arrays under the names that they were given."""
        flat = [np.frombuffer(tensor, np.float32) for tensor in parameters.tensors]
        return dict(zip(self.names, flat, strict=True))


@dataclass(frozen=True)
class ForestFormat:
    """`FedXgbNnAvg`'s pair of a network's parameters and all nodes' trees."""

    names: tuple[str, ...]

    def pack(self, arrays: Arrays) -> list[Any]:
        """Return a node's answer: its network in a `GetParametersRes`, and its tree."""
        network = ndarrays_to_parameters(list(arrays.values()))
        tree = f"tree {float(next(iter(arrays.values())).sum()).hex()}"
        return [GetParametersRes(OK, network), tree]

    def unpack(self, parameters: Any) -> Arrays:
        """Return the network's arrays."""
        network: Any = parameters[0] if isinstance(parameters, list) else parameters
        return dict(zip(self.names, parameters_to_ndarrays(network), strict=True))


@dataclass
class Traffic:
    """What all proxies share: the nodes, their faults, and the record of it all."""

    clients: Clients
    tensor_format: TensorFormat
    initial: Arrays
    faults: tuple[Fault, ...]
    grid: InProcessGrid


class InProcessProxy(GridClientProxy):
    """One node, answering at once; `grid.run` and `node_id` are as in a real run."""

    def __init__(self, node_id: int, traffic: Traffic) -> None:
        super().__init__(node_id, traffic.grid, traffic.grid.run.run_id)
        self.traffic = traffic

    def get_properties(
        self, ins: GetPropertiesIns, timeout: float | None, group_id: int | None
    ) -> GetPropertiesRes:
        """Return no properties."""
        return GetPropertiesRes(OK, {})

    def get_parameters(
        self, ins: GetParametersIns, timeout: float | None, group_id: int | None
    ) -> GetParametersRes:
        """Return the model that the run starts from."""
        self._record("get_parameters", ins)
        packed = self.traffic.tensor_format.pack(self.traffic.initial)
        return GetParametersRes(OK, packed)

    def fit(self, ins: FitIns, timeout: float | None, group_id: int | None) -> FitRes:
        """Return the node's training answer, or fail as `GridClientProxy` does."""
        self._record("fit", ins)
        server_round = group_id or 0
        fault = self._failed(server_round, evaluating=False)
        arrays = self.traffic.tensor_format.unpack(ins.parameters)
        answer = self.traffic.clients.train(
            self.node_id, server_round, arrays, ins.config
        )
        new = poisoned(answer.arrays) if fault is FaultKind.NAN else answer.arrays
        packed = self.traffic.tensor_format.pack(new)
        return FitRes(OK, packed, answer.num_examples, dict(answer.metrics))

    def evaluate(
        self, ins: EvaluateIns, timeout: float | None, group_id: int | None
    ) -> EvaluateRes:
        """Return the node's evaluation answer, or fail as `GridClientProxy` does."""
        self._record("evaluate", ins)
        server_round = group_id or 0
        self._failed(server_round, evaluating=True)
        arrays = self.traffic.tensor_format.unpack(ins.parameters)
        answer = self.traffic.clients.evaluate(
            self.node_id, server_round, arrays, ins.config
        )
        loss = float(answer.metrics["eval_loss"])
        return EvaluateRes(OK, loss, answer.num_examples, dict(answer.metrics))

    def reconnect(
        self, ins: ReconnectIns, timeout: float | None, group_id: int | None
    ) -> DisconnectRes:
        """Return at once: there is no connection."""
        return DisconnectRes("")

    def _record(self, verb: str, instructions: object) -> None:
        self.traffic.grid.sent.append((verb, self.node_id, canonical(instructions)))

    def _failed(self, server_round: int, *, evaluating: bool) -> FaultKind | None:
        faults = self.traffic.faults
        fault = fault_of(faults, server_round, self.node_id, evaluating=evaluating)
        if fault is FaultKind.NO_REPLY:
            raise NodeLostError("Expected one Message but got: 0")
        if fault is FaultKind.ERROR:
            raise NodeLostError(
                f"Message contains an Error (reason: node {self.node_id} ran out of "
                "memory). It originated during client-side execution of a message."
            )
        return fault
