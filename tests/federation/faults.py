"""What may go wrong at a node in a round."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fault", "FaultKind", "NodeLostError", "fault_of", "poisoned"]


class NodeLostError(ValueError):
    """A legacy node failed or stayed silent; Flower's own proxy raises ValueError."""


class FaultKind(StrEnum):
    """How a node fails."""

    ERROR = "error"
    NO_REPLY = "no_reply"
    NAN = "nan"


@dataclass(frozen=True)
class Fault:
    """One node fails in the training of one round.

    Attributes
    ----------
    also_evaluating : bool
        Whether it fails in the evaluation of the round too.
    """

    server_round: int
    node_id: int
    kind: FaultKind
    also_evaluating: bool = False


def fault_of(
    faults: Iterable[Fault], server_round: int, node_id: int, *, evaluating: bool
) -> FaultKind | None:
    """Return how the node fails now, None when it does not."""
    for fault in faults:
        if (fault.server_round, fault.node_id) != (server_round, node_id):
            continue
        if fault.also_evaluating or not evaluating:
            return fault.kind
    return None


def poisoned(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with one NaN in the first that can hold it."""
    result = {name: array.copy() for name, array in arrays.items()}
    for array in result.values():
        if np.issubdtype(array.dtype, np.floating) and array.size:
            array.flat[0] = np.nan
            return result
    raise ValueError("no array can hold a NaN: give the clients a floating model")
