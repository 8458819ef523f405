"""What a checkpoint holds comes back equal."""

from decimal import Decimal

import numpy as np
import pytest
import torch
from checkpointing.samples import content
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.checkpointing.checkpoint import (
    described,
    read_manifest,
    write_manifest,
)
from flwr_registry.errors import CheckpointError
from flwr_registry.records import StoredObject


def test_a_round_below_zero_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        content(-1)


# Of all characters hypothesis would first make a table, for longer than it allows.
TEXT = st.text('a$"\\\n\0é\ud800😀', max_size=5)
PYTHON = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), TEXT, st.binary()
)
NUMPY = st.one_of(
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.booleans().map(np.bool_),
    st.text("aé", max_size=3).map(np.str_),
)
METRIC = PYTHON | NUMPY
NESTED = (
    METRIC
    | st.lists(METRIC, max_size=3)
    | st.lists(METRIC, max_size=3).map(tuple)
    | st.dictionaries(TEXT, METRIC, max_size=2)
)


@given(
    st.dictionaries(
        TEXT,
        st.dictionaries(
            st.integers(0, 10**7),
            st.dictionaries(TEXT, NESTED),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_metrics_come_back_equal(metrics):
    fields = described(content(1, metrics=metrics))
    read = read_manifest(write_manifest(fields, StoredObject("w", 0, ""), None))
    assert repr(read.content.metrics) == repr(metrics)


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3), np.float32), np.array([[1, 2]]), np.array([np.nan, 1])]
)
def test_arrays_come_back_as_arrays(array):
    fields = described(content(1, metrics={"s": {1: {"m": array}}}))
    read = read_manifest(write_manifest(fields, StoredObject("w", 0, ""), None))
    found = read.content.metrics["s"][1]["m"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_metrics_of_an_earlier_release_are_read():
    fields = described(content(1)) | {
        "format": 1,
        "metrics": {"s": {"1": {"m": 0.5, "n": {"$float": "nan"}, "l": [1]}}},
    }
    read = read_manifest(write_manifest(fields, StoredObject("w", 0, ""), None))
    assert repr(read.content.metrics) == "{'s': {1: {'m': 0.5, 'n': nan, 'l': [1]}}}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (torch.tensor([0.5]), [0.5]),
        ((1, 2.5), (1, 2.5)),
        (Decimal("1.5"), "1.5"),
        ({"a": np.float32(1)}, {"a": 1}),
        ({"$float": "x"}, {"$float": "x"}),
        ({"$numpy": ["<f4", 1]}, {"$numpy": ["<f4", 1]}),
    ],
)
def test_whatever_is_measured_can_be_saved(storage, value, expected):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1, metrics={"s": {1: {"m": value}}}))
    assert manager.load_latest().content.metrics == {"s": {1: {"m": expected}}}


def test_a_manifest_of_an_earlier_release_knows_no_architecture():
    fields = described(content(1))
    del fields["architecture"], fields["is_settled"]
    stored = StoredObject("w", 1, "0" * 64)
    found = read_manifest(write_manifest(fields, stored, None)).content
    assert (found.architecture, found.is_settled) == (None, False)


@pytest.mark.parametrize("damaged", [{"tensors": [["w"]]}, {"tensors": 3}, [1]])
def test_an_architecture_that_cannot_be_read_is_damage(damaged):
    fields = described(content(1)) | {"architecture": damaged}
    stored = StoredObject("w", 1, "0" * 64)
    with pytest.raises(CheckpointError):
        read_manifest(write_manifest(fields, stored, None))
