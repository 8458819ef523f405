"""Values that a strategy may hold, and the way that they take through a checkpoint."""

import json
import math
from array import array
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, timedelta
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import torch
from flwr.serverapp.strategy import FedAvg
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.strategy.state.plain_state import StrategyState

__all__ = [
    "KEYS",
    "VALUES",
    "Boxed",
    "Frozen",
    "History",
    "Keeper",
    "Level",
    "Pair",
    "Phase",
    "Plain",
    "Slotted",
    "same",
    "through_json",
]


class Keeper(FedAvg):
    """A strategy whose module has the classes below."""


@dataclass
class Plain:
    rounds: int = 0
    seen: Any = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    rounds: int = 0
    seen: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    rounds: int = 0
    seen: Any = None


class Phase(Enum):
    WARM = "warm"
    COLD = "cold"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


Pair = namedtuple("Pair", "left right")


class History(list):
    """A list whose own methods must not be needed."""

    def append(self, item):
        raise AssertionError(item)

    def __iter__(self):
        raise AssertionError


class Boxed(UserDict):
    """A mapping that keeps its contents in an attribute."""


def tensors() -> st.SearchStrategy[torch.Tensor]:
    """Draw tensors of each kind of memory that there is."""
    dtypes = [torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.bool]
    dtypes += [torch.complex64, torch.int64, torch.float16]
    shapes = st.sampled_from([(), (0,), (3,), (2, 3), (1, 0, 2)])

    def make(dtype: torch.dtype, shape: tuple[int, ...], turned: bool) -> torch.Tensor:
        made = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
        return made.T if turned and made.dim() == 2 else made

    return st.builds(make, st.sampled_from(dtypes), shapes, st.booleans())


DTYPES = ["f4", "i8", ">f8", "?", "c16", "f2", "<U3", "S2", "M8[s]"]
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    hnp.arrays(st.sampled_from(DTYPES), st.integers(0, 3)),
    tensors(),
    st.just(float("inf")),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Phase, *Level, range(1, 9, 2), slice(1, None), ...]),
    st.sampled_from([torch.float16, torch.device("cpu"), torch.Size([2, 3])]),
    st.sampled_from([np.float32(0.1), np.int8(3), np.str_("x"), np.dtype("f4")]),
    st.lists(st.floats(allow_nan=False), max_size=3).map(lambda of: array("d", of)),
)
KEYS = st.one_of(
    st.text(),
    st.integers(),
    st.tuples(st.integers(), st.text()),
    st.sampled_from([*Phase, date(2026, 1, 1), timedelta(1), Frozen(1, 2)]),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, pairs = st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
    return st.one_of(
        lists,
        lists.map(tuple),
        lists.map(deque),
        lists.map(lambda of: deque(of, maxlen=2)),
        lists.map(History),
        pairs,
        pairs.map(OrderedDict),
        pairs.map(lambda of: defaultdict(list, of)),
        pairs.map(Boxed),
        st.lists(st.text(), max_size=3).map(Counter),
        st.frozensets(st.integers(), max_size=3),
        st.sets(st.text(), max_size=3),
        st.builds(Plain, st.integers(), inner),
        st.builds(Slotted, st.integers(), inner),
        st.builds(Frozen, st.integers(), inner),
        st.builds(Pair, inner, inner),
        inner.map(lambda each: [each, each]),
    )


VALUES = st.recursive(ATOMS, _containers, max_leaves=8)


def through_json(state: StrategyState) -> StrategyState:
    """Return a state as a checkpoint gives it back."""
    return StrategyState(
        json.loads(json.dumps(state.tree, allow_nan=False)),
        {name: np.array(array) for name, array in state.arrays.items()},
        state.left_out,
        state.late,
    )


def same(left: Any, right: Any) -> bool:
    """Whether two values are of one type and bit for bit the same."""
    if type(left) is not type(right):
        return False
    match left:
        case torch.Tensor():
            facts = [
                (each.dtype, each.shape, each.requires_grad) for each in (left, right)
            ]
            return facts[0] == facts[1] and _bits(left) == _bits(right)
        case np.ndarray():
            return left.dtype == right.dtype and left.tobytes() == right.tobytes()
        case deque() if left.maxlen != right.maxlen:
            return False
        case list() | tuple() | deque():
            sides = [
                list(type(each).__mro__[-2].__iter__(each)) for each in (left, right)
            ]
            return len(sides[0]) == len(sides[1]) and all(map(same, *sides))
        case Mapping():
            return list(left) == list(right) and all(
                same(left[key], right[key]) for key in left
            )
    if is_dataclass(left):
        names = [each.name for each in fields(left)]
        return all(same(getattr(left, n), getattr(right, n)) for n in names)
    return bool(left == right)


def _bits(tensor: torch.Tensor) -> bytes:
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    flat.copy_(tensor.detach().reshape(-1))
    return flat.view(torch.uint8).numpy().tobytes()
