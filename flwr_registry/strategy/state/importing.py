"""Putting a state back into a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state.attributes import users_classes_of
from flwr_registry.strategy.state.container_reading import CONTAINER_READERS
from flwr_registry.strategy.state.known_classes import KnownClasses, class_name_of
from flwr_registry.strategy.state.object_reading import OBJECT_READERS
from flwr_registry.strategy.state.plain_state import StrategyState, is_strategy
from flwr_registry.strategy.state.tree_reading import (
    ARRAY_READERS,
    Place,
    StateArraysReader,
    ValueReader,
)

__all__ = ["import_state"]


def import_state(
    strategy: Any, state: StrategyState, *, settings: Mapping[str, Any] | None = None
) -> None:
    """Put a state back into a strategy that was built as the one it came from.

    Contents go into the objects that are there, so whoever else holds them sees them.

    Parameters
    ----------
    state : StrategyState
        Its arrays are copied and, where they are a dictionary, taken out of it.
    settings : mapping, optional
        What attributes that the state lacks go back to, by path; without it they stay
        as the constructor made them.

    Raises
    ------
    CheckpointError
        When the state does not fit the strategy.
    """
    arrays = state.arrays if isinstance(state.arrays, dict) else dict(state.arrays)
    reader = ValueReader(
        StateArraysReader(arrays),
        KnownClasses(strategy),
        {
            **ARRAY_READERS,
            **CONTAINER_READERS,
            **OBJECT_READERS,
            "$strategy": _read_strategy,
        },
        settings or {},
        is_old="$format" not in state.tree,
    )
    _fill_strategy(reader, strategy, state.tree, "")


def _read_strategy(reader: ValueReader, place: Place) -> Any:
    if not is_strategy(place.present):
        raise CheckpointError(
            f"the checkpoint holds the state of a strategy ({place.path}) that this "
            "strategy does not have: build the strategy as it was built before"
        )
    _fill_strategy(reader, place.present, place.content, f"{place.path}.")
    return place.present


def _fill_strategy(
    reader: ValueReader, owner: Any, tree: Mapping[str, Any], path: str
) -> None:
    reader.keep(tree, owner)
    reader.fields(owner, tree, path)
    on_classes = tree.get("$class", {})
    for kind, of in users_classes_of(owner).items():
        if kind is of:
            tree_of_class = on_classes.get(class_name_of(kind), {})
            reader.fields(kind, tree_of_class, f"{kind.__qualname__}.")
