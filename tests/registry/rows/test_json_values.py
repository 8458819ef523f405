"""Values as JSON that every database accepts."""

import json
import math
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.registry.rows.json_values import (
    dump_json,
    finite_or_none,
    from_json,
    plain_text,
    to_json,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
metric_names = texts
scalars = st.floats() | st.integers() | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(metric_names, inner),
    max_leaves=10,
)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isnan(one) == math.isnan(other) and (
            math.isnan(one) or one == other
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(values)
def test_numbers_come_back_from_strict_json(value):
    stored = json.loads(json.dumps(to_json(value), allow_nan=False))
    assert same(from_json(stored), value)


@given(values)
def test_json_is_its_own_json(value):
    assert to_json(to_json(value)) == to_json(value)


@given(st.text())
def test_any_text_becomes_one_that_databases_store(text):
    plain = plain_text(text)
    plain.encode("utf-8")
    assert "\x00" not in plain
    assert len(plain) == len(text)


def test_what_flower_and_numpy_give_becomes_plain():
    class Level(IntEnum):
        HIGH = 3

    given_values = {
        "float32": np.float32(0.5),
        "int64": np.int64(7),
        "bool": np.bool_(True),
        "array": np.arange(2),
        "nan": np.float64("nan"),
        "bytes": b"\x01\xff",
        "tuple": (1, 2),
        "set": {2, 1},
        "level": Level.HIGH,
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        5: object,
    }
    assert json.loads(dump_json(to_json(given_values))) == {
        "float32": 0.5,
        "int64": 7,
        "bool": True,
        "array": [0, 1],
        "nan": "nan",
        "bytes": "01ff",
        "tuple": [1, 2],
        "set": [1, 2],
        "level": 3,
        "time": "2026-01-02T00:00:00+00:00",
        "5": "<class 'object'>",
    }


@pytest.mark.parametrize("value", [None, "1", True, "x", math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_none(value):
    assert finite_or_none(value) is None


def test_finite_numbers_are_floats():
    assert finite_or_none(np.float32(0.5)) == 0.5
    assert isinstance(finite_or_none(3), float)
