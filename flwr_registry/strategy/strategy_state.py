"""What a strategy carries from round to round, as plain data.

It is a tree that JSON can hold and named arrays; never a pickle. In a tree, numbers,
text, truth values, None and lists stand for themselves; everything else is an object
with one key that starts with ``$``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy as MessageStrategy
from numpy.typing import NDArray

from flwr_registry.strategy.attributes import attributes_of

__all__ = [
    "SEQUENCE_TAGS",
    "StrategyState",
    "has_state_dict",
    "is_strategy",
    "may_change",
    "rebinds_arrays",
    "settings_of",
]

SEQUENCE_TAGS: dict[type, str] = {
    list: "",
    tuple: "$tuple",
    set: "$set",
    frozenset: "$frozenset",
    deque: "$deque",
    bytearray: "$bytearray",
}
"""Sequences and the tag of each in a tree; a list stands for itself."""

_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StrategyState:
    """The state of a strategy as plain data.

    Attributes
    ----------
    tree : object
        What JSON can hold; arrays are named in it.
    arrays : mapping of str to numpy.ndarray
        Views where the strategy holds bytes, its own arrays otherwise.
    left_out : tuple of str
        Attributes that no checkpoint can hold, as dotted paths.
    """

    tree: Any
    arrays: Mapping[str, NDArray[Any]]
    left_out: tuple[str, ...] = ()


def is_strategy(value: Any) -> bool:
    """Whether a value is a strategy of either of Flower's APIs."""
    return isinstance(value, MessageStrategy | LegacyStrategy)


def has_state_dict(value: Any) -> bool:
    """Whether a value offers its state as Flower's privacy accountant does."""
    return (
        not isinstance(value, type)
        and callable(getattr(value, "state_dict", None))
        and callable(getattr(value, "load_state_dict", None))
    )


def settings_of(strategy: Any, path: str = "") -> dict[str, Any]:
    """Return numbers, text and None of a strategy and of those it wraps, by path."""
    settings: dict[str, Any] = {}
    for name, value in attributes_of(strategy).items():
        if is_strategy(value):
            settings |= settings_of(value, f"{path}{name}.")
        elif value is None or type(value) in (bool, int, float, str):
            settings[f"{path}{name}"] = value
    return settings


def rebinds_arrays(strategy: Any) -> bool:
    """Whether a strategy only ever binds new arrays, as Flower's own do."""
    return type(strategy).__module__.split(".")[0] == "flwr"


def may_change(array: NDArray[Any], *, rebinds: bool) -> bool:
    """Whether an array could be changed in place, so that only a copy stands still.

    Parameters
    ----------
    rebinds : bool
        Its owner binds new arrays; a small one is not worth trusting that.
    """
    return array.flags.writeable and not (rebinds and array.nbytes > _SMALL_BYTES)
