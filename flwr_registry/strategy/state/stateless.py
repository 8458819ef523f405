"""Values that carry nothing from round to round, whatever they hold inside."""

from __future__ import annotations

import functools
import io
import logging
import socket
import threading
import types
import weakref
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    MetricRecord,
    RecordDict,
)

from flwr_registry.strategy.state.attributes import attributes_of
from flwr_registry.strategy.state.containers import is_container, items_of
from flwr_registry.strategy.state.plain_state import has_state_dict, is_strategy

__all__ = ["FLOWER_RECORDS", "is_flowers_own", "is_handle", "is_live", "is_stateless"]

FLOWER_RECORDS = (ArrayRecord, MetricRecord, ConfigRecord, RecordDict)

_CODE: tuple[type, ...] = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.CodeType,
    functools.partial,
    type(functools.lru_cache(lambda: None)),
    property,
    staticmethod,
    classmethod,
    np.ufunc,
)
_HANDLES: tuple[type, ...] = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    threading.Thread,
    threading.local,
    io.IOBase,
    socket.socket,
    Executor,
    Future,
    SimpleQueue,
    weakref.ref,
)
_LOGS: tuple[type, ...] = (logging.Logger, logging.LoggerAdapter, logging.Handler)
_STATELESS = _CODE + _HANDLES + _LOGS
_OWN_PACKAGES = ("flwr", "flwr_registry")
_MAX_VISITS = 5_000


def is_handle(value: Any) -> bool:
    """Whether a value is a lock, a thread, a file or the like."""
    return isinstance(value, _HANDLES)


def is_stateless(value: Any) -> bool:
    """Whether a value is code, a handle or something that Flower runs with."""
    return isinstance(value, _STATELESS) or _is_runtime(value)


def is_flowers_own(kind: type) -> bool:
    """Whether a class is Flower's, or of this package."""
    return kind.__module__.partition(".")[0] in _OWN_PACKAGES


def _is_runtime(value: Any) -> bool:
    """Grids, client managers, proxies, messages, contexts, registries."""
    if isinstance(value, Context):
        return True
    if not is_flowers_own(type(value)):
        return False
    holds_values = isinstance(value, (*FLOWER_RECORDS, Array))
    is_plain = hasattr(type(value), "__dataclass_fields__") or is_container(value)
    return not (holds_values or is_plain or is_strategy(value) or has_state_dict(value))


def is_live(value: Any) -> bool:
    """Whether an object holds a handle somewhere, so that it must not be set back.

    A connection or a writer of logs goes on with the world, whatever training does.
    One that is too large to look through counts as such.
    """
    seen: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if is_handle(each) or len(seen) > _MAX_VISITS:
            return True
        if id(each) in seen or is_stateless(each):
            continue
        seen[id(each)] = each
        waiting.extend(items_of(each))
        waiting.extend(attributes_of(each).values())
    return False
