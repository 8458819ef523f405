"""Containers, read and filled past whatever their own classes override."""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = [
    "FACTORIES",
    "base_of",
    "contents_of",
    "is_container",
    "items_of",
    "mapping_items",
    "refill",
]

_KINDS: tuple[type, ...] = (
    OrderedDict,
    Counter,
    defaultdict,
    dict,
    list,
    tuple,
    set,
    frozenset,
    deque,
    bytearray,
    array,
)
"""The more special first."""

FACTORIES: dict[str, Any] = {
    each.__name__: each
    for each in (list, dict, set, tuple, int, float, str, bool, deque, Counter)
}
"""What a defaultdict may make by itself, by name."""


def base_of(kind: type) -> type | None:
    """Return the builtin container that a class is or builds on, None for neither."""
    return _known_base(kind)


@lru_cache(maxsize=1024)
def _known_base(kind: type) -> type | None:
    for each in _KINDS:
        if issubclass(kind, each):
            return each
    return None


def is_container(value: Any) -> bool:
    """Whether a value is a builtin container or builds on one."""
    return base_of(type(value)) is not None


def mapping_items(value: Any) -> list[tuple[Any, Any]]:
    """Return keys and values of a dictionary, in its order."""
    if isinstance(value, OrderedDict):
        return list(OrderedDict.items(value))
    return list(dict.items(value))


def contents_of(value: Any) -> list[Any]:
    """Return what `refill` takes to bring a container back."""
    if isinstance(value, dict):
        return mapping_items(value)
    base: Any = base_of(type(value))
    return list(base.__iter__(value))


def items_of(value: Any) -> Iterable[Any]:
    """Return what a value holds that could itself change."""
    if isinstance(value, dict):
        return [item for _, item in mapping_items(value)]
    if isinstance(value, MappingProxyType):
        return list(value.values())
    if isinstance(value, list | tuple | deque):
        return contents_of(value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return list(value.flat)
    return ()


def refill(container: Any, contents: list[Any]) -> None:
    """Give a container other contents, in place."""
    match container:
        case OrderedDict():
            OrderedDict.clear(container)
            for key, item in contents:
                OrderedDict.__setitem__(container, key, item)
        case dict():
            dict.clear(container)
            dict.update(container, contents)
        case list():
            list.__setitem__(container, slice(None), contents)
        case set():
            set.clear(container)
            set.update(container, contents)
        case deque():
            deque.clear(container)
            deque.extend(container, contents)
        case bytearray():
            bytearray.__setitem__(container, slice(None), bytes(contents))
        case array():
            array.__setitem__(
                container, slice(None), array(container.typecode, contents)
            )
