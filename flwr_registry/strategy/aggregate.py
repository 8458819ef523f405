"""What a strategy returned for a round, told without one Flower type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr_registry.records import Contribution
from flwr_registry.weights import Architecture, Weights

__all__ = ["Aggregate", "Buffers", "same_buffers"]

Buffers = tuple[bytes, ...]
"""The immutable bytes behind a model's arrays: they tell one model from another."""


def same_buffers(left: Buffers, right: Buffers) -> bool:
    """Whether both are the same model; what are the same objects is not compared."""
    return left == right


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What a strategy returned for a round, as the adapters of both APIs hand it over.

    Attributes
    ----------
    has_model : bool
        Whether there is one, readable or not.
    buffers : tuple of bytes
        The bytes of the model.
    read_weights : callable
        Views the model, given the architecture that it is expected to have; its errors
        count as trouble of the registry.
    train_metrics : mapping
        What was aggregated beside the model.
    tensor_type : str
        What the legacy API calls the form of its tensors.
    returned_metrics : object
        The same as the strategy returned it, for a replay.
    contributions : sequence of Contribution
        Of the nodes that answered.
    lost_reasons : sequence of str
        Failures that do not say whose they are.
    privacy : tuple of float, optional
        Epsilon and delta spent so far.
    """

    has_model: bool
    buffers: Buffers
    read_weights: Callable[[Architecture | None], Weights]
    train_metrics: Mapping[str, Any]
    contributions: Sequence[Contribution]
    returned_metrics: Any = None
    tensor_type: str = ""
    lost_reasons: Sequence[str] = ()
    privacy: tuple[float, float] | None = None
