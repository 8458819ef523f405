"""Metrics that a client or a strategy gives, as what a registry keeps of them.

A metric is a number, a short text or a short list. A client may send anything under
that name, a whole model included, so what is larger is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from flwr_registry.checkpointing import number_of
from flwr_registry.strategy.round_log import log_metric_left_out

__all__ = ["MetricsReader", "metrics_of"]

MOST_NAMES = 128
LONGEST_NAME = 200
LONGEST_TEXT = 1000
MOST_VALUES = 100
MOST_CHARACTERS = 16 * 1024
_DEEPEST = 8
_MOST_BITS = 1024
_MOST_LINES = 20

_NUMBER_CHARACTERS = 20


class MetricsReader:
    """Reads the metrics of one run, and says once of each what is left out."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def read(self, record: Any, source: str, giver: str = "") -> dict[str, Any]:
        """Return metrics as plain numbers, text and lists.

        Parameters
        ----------
        record : object
            A mapping; anything else has no metrics.
        source : str
            What gives them, such as ``"node"``; each name is told once a source.
        giver : str
            Which one it is, for the log.
        """

        def tell(name: str, why: str) -> None:
            key = (source, name[:LONGEST_NAME])
            if key not in self._told and len(self._told) < _MOST_LINES:
                self._told.add(key)
                log_metric_left_out(key[1], f"{source} {giver}".strip(), why)

        return metrics_of(record, tell)


def metrics_of(
    record: Any, leave_out: Callable[[str, str], None] = lambda name, why: None
) -> dict[str, Any]:
    """Return what a registry keeps of metrics, in their order.

    Parameters
    ----------
    record : object
        A mapping; anything else has no metrics.
    leave_out : callable
        Told the name and the reason of each metric that is left out.
    """
    kept: dict[str, Any] = {}
    if not isinstance(record, Mapping):
        return kept
    characters = 0
    for position, (given, value) in enumerate(record.items()):
        name = str(given)
        if len(kept) == MOST_NAMES or characters > MOST_CHARACTERS:
            leave_out("...", f"{len(record) - position} more than there is room for")
            break
        try:
            if len(name) > LONGEST_NAME:
                raise _NoMetric(f"its name has {len(name)} characters")
            plain, size = _plain(value)
        except _NoMetric as error:
            leave_out(name, str(error))
            continue
        characters += len(name) + size
        if plain is not None:
            kept[name] = plain
    return kept


class _NoMetric(Exception):
    """A value that is no metric, or too large for one."""


def _plain(value: Any, depth: int = 0) -> tuple[Any, int]:
    """Return a value as JSON has it, and about how many characters it takes."""
    match value:
        case None | bool():
            return value, _NUMBER_CHARACTERS
        case str():
            if len(value) > LONGEST_TEXT:
                raise _NoMetric(f"a text of {len(value)} characters")
            return str(value), len(value)
        case np.bool_():
            return bool(value), _NUMBER_CHARACTERS
        case int() if value.bit_length() > _MOST_BITS:
            raise _NoMetric(f"a number of {value.bit_length()} bits")
        case int() | float():
            exact = value.item() if isinstance(value, np.generic) else value
            return exact, _NUMBER_CHARACTERS
        case list() | tuple() if depth < _DEEPEST:
            return _plain_list(value, depth)
    return _plain_array(value, depth)


def _plain_list(values: Any, depth: int) -> tuple[list[Any], int]:
    if len(values) > MOST_VALUES:
        raise _NoMetric(f"a list of {len(values)} values")
    items = [_plain(item, depth + 1) for item in values]
    size = sum(size for _, size in items)
    if size > MOST_VALUES * _NUMBER_CHARACTERS:
        raise _NoMetric("a list of more than it may have")
    return [item for item, _ in items], size


def _plain_array(value: Any, depth: int) -> tuple[Any, int]:
    """Read scalars and arrays of numpy, torch and others that have their methods."""
    number = number_of(value)
    if number is not None:
        item = getattr(value, "item", None)
        exact = item() if callable(item) else number
        return exact, _NUMBER_CHARACTERS
    shape, tolist = getattr(value, "shape", None), getattr(value, "tolist", None)
    if not callable(tolist) or not isinstance(shape, Iterable):
        raise _NoMetric(f"a {type(value).__name__}")
    sides = tuple(int(side) for side in shape)
    if np.prod(sides, dtype=float) > MOST_VALUES:
        raise _NoMetric(f"an array of shape {sides}")
    return _plain(tolist(), depth + 1)
