"""Letting a strategy begin with a version in place of a model that it holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from flwr.common import Parameters
from numpy.typing import NDArray

from flwr_registry.strategy.conversions import array_view, buffers_of
from flwr_registry.strategy.state.attributes import attributes_of, set_attribute
from flwr_registry.strategy.state.plain_state import is_strategy

__all__ = ["replace_first_model"]

_Model = ArrayRecord | Parameters

_FLOWERS_OWN = ("initial_parameters", "current_weights")
"""Where Flower's own strategies hold the model that they begin with."""


def replace_first_model(strategy: Any, own: _Model | None, other: _Model) -> None:
    """Put another model wherever a strategy, or one inside it, holds its first one.

    Legacy strategies such as FedAdam add what a round gives to a model of their own,
    whatever the server holds.

    Parameters
    ----------
    own : ArrayRecord or Parameters or None
        The strategy's first model; nothing is replaced without one.
    other : ArrayRecord or Parameters
        What it shall begin with.
    """
    own_arrays, new_arrays = _arrays_of(own), _arrays_of(other)
    if own is None or not own_arrays:
        return
    # Momentum is zero at first too: such a model is found by its attribute alone.
    is_telling = any(array.any() for array in own_arrays)
    for holder, name, value in _attributes(strategy, set()):
        if not is_telling and name not in _FLOWERS_OWN:
            continue
        if type(value) is type(own) and _same(_arrays_of(value), own_arrays):
            set_attribute(holder, name, other)
        elif isinstance(value, list) and _same(value, own_arrays):
            set_attribute(holder, name, [array.copy() for array in new_arrays])
        elif (
            isinstance(value, dict)
            and len(new_arrays) == len(own_arrays)
            and _same(list(value.values()), own_arrays)
        ):
            copies = (array.copy() for array in new_arrays)
            set_attribute(holder, name, dict(zip(value, copies, strict=True)))


def _attributes(strategy: Any, seen: set[int]) -> Iterator[tuple[Any, str, Any]]:
    """All attributes of a strategy and of those inside it."""
    seen.add(id(strategy))
    for name, value in attributes_of(strategy).items():
        if not is_strategy(value):
            yield strategy, name, value
        elif id(value) not in seen:
            yield from _attributes(value, seen)


def _arrays_of(model: _Model | None) -> list[NDArray[Any]]:
    return [array_view(str(i), data) for i, data in enumerate(buffers_of(model))]


def _same(found: list[Any], arrays: list[NDArray[Any]]) -> bool:
    """Whether both are the same arrays, bit for bit."""
    return len(found) == len(arrays) and all(
        isinstance(one, np.ndarray)
        and (one.dtype, one.shape) == (other.dtype, other.shape)
        and one.tobytes() == other.tobytes()
        for one, other in zip(found, arrays, strict=True)
    )
