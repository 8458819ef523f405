"""What a value is like at a moment, as a few bytes that another moment compares with.

No code of the value's class runs, and neither large values nor endless ones cost much:
beyond a bound only samples are looked at.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
import random
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.strategy.state.attributes import attributes_of
from flwr_registry.strategy.state.containers import (
    contents_of,
    is_container,
    mapping_items,
)
from flwr_registry.strategy.state.plain_forms import plain_form_of
from flwr_registry.strategy.state.plain_state import is_strategy
from flwr_registry.strategy.state.stateless import is_stateless
from flwr_registry.strategy.state.torch_forms import (
    array_of,
    is_plain_tensor,
    is_tensor,
    is_torch_generator,
)

__all__ = ["fingerprint"]

_MAX_VISITS = 5_000
_MAX_BYTES = 4 * 1024 * 1024
_SAMPLES = 1_024
_EMPTY: tuple[Iterable[Any], ...] = ([], (), "", b"", range(0), {}, set(), reversed([]))
_ITERATORS = tuple(type(iter(each)) for each in _EMPTY)


def fingerprint(value: Any) -> bytes:
    """Return a digest of a value and of what it holds."""
    try:
        return _Fingerprint().of(value)
    except RecursionError:
        return b""


class _Fingerprint:
    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._seen: dict[int, tuple[int, Any]] = {}
        self._bytes_left = _MAX_BYTES

    def of(self, value: Any) -> bytes:
        waiting: list[Iterator[Any]] = [iter((value,))]
        while waiting and len(self._seen) < _MAX_VISITS:
            each = next(waiting[-1], waiting)
            if each is waiting:
                waiting.pop()
                self._note("end")
            else:
                waiting.append(self._parts(each))
        return self._digest.digest()

    def _note(self, *tokens: Any) -> None:
        for token in tokens:
            self._digest.update(repr(token).encode("utf-8", "surrogatepass") + b"\0")

    def _parts(self, value: Any) -> Iterator[Any]:
        """Note what a value is itself, and give what it holds."""
        kind = type(value)
        self._note(kind.__qualname__)
        if value is None or kind in (bool, int, float, complex):
            self._note(value)
            return iter(())
        if kind in (str, bytes):
            self._note(len(value), value[:_SAMPLES], value[-_SAMPLES:])
            return iter(())
        if id(value) in self._seen:
            self._note(self._seen[id(value)][0])
            return iter(())
        self._seen[id(value)] = (len(self._seen), value)
        return self._compound(value)

    def _compound(self, value: Any) -> Iterator[Any]:
        form = plain_form_of(value)
        if form is not None:
            self._note(form.write(value))
        elif isinstance(value, np.ndarray | np.generic):
            return self._array(np.asarray(value))
        elif is_tensor(value):
            self._tensor(value)
        elif is_stateless(value) and not is_strategy(value):
            self._note(getattr(value, "__qualname__", ""))
        elif is_container(value):
            return self._container(value)
        else:
            return self._object(value)
        return iter(())

    def _array(self, array: NDArray[Any]) -> Iterator[Any]:
        self._note(array.dtype.str, array.shape)
        if array.dtype.hasobject:
            return iter(array.flat[:_SAMPLES].tolist())
        if array.nbytes > self._bytes_left:
            array = array.flat[:: max(1, array.size // _SAMPLES)]
        self._bytes_left -= array.nbytes
        self._digest.update(np.ascontiguousarray(array).tobytes())
        return iter(())

    def _tensor(self, tensor: Any) -> None:
        self._note(tensor.dtype, tuple(tensor.shape))
        is_small = tensor.numel() * tensor.element_size() <= self._bytes_left
        array = array_of(tensor) if is_plain_tensor(tensor) and is_small else None
        if array is None:
            self._note(id(tensor), getattr(tensor, "_version", None))
        else:
            self._array(array)

    def _container(self, value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            pairs = mapping_items(value)
            self._note(len(pairs))
            contents: list[Any] = [part for pair in pairs for part in pair]
        else:
            contents = contents_of(value)
            self._note(len(contents))
        if isinstance(value, set | frozenset):
            # In no order: each by itself.
            prints = sorted(_Fingerprint().of(item) for item in contents[:_SAMPLES])
            self._note(*prints)
            contents = []
        if len(contents) > _SAMPLES:
            contents = contents[:_SAMPLES] + contents[-_SAMPLES:]
        return iter((*contents, *_named(value)))

    def _object(self, value: Any) -> Iterator[Any]:
        match value:
            case random.Random():
                return iter((_state_of(value),))
            case np.random.Generator():
                return iter((value.bit_generator.state,))
            case np.random.RandomState():
                return iter((value.get_state(legacy=False),))
            case np.random.BitGenerator():
                return iter((value.state,))
            case itertools.count():
                self._note(repr(value))
                return iter(())
            case types.GeneratorType():
                frame = value.gi_frame
                self._note(id(value), frame.f_lasti if frame else None)
                return iter(())
        if is_torch_generator(value):
            return iter((value.get_state(),))
        if isinstance(value, _ITERATORS):
            self._note(operator.length_hint(value))
            return iter(())
        named = _named(value)
        if not named:
            # Nothing can be seen of it: another object is another value.
            self._note(id(value))
        return iter(named)


def _named(value: Any) -> list[Any]:
    return [part for pair in sorted(attributes_of(value).items()) for part in pair]


def _state_of(generator: random.Random) -> Any:
    try:
        return generator.getstate()
    except NotImplementedError:
        return None
