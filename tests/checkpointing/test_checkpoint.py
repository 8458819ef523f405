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
FLOATS = st.one_of(st.floats(), st.floats().map(np.float64))
METRIC = st.one_of(FLOATS, st.integers(), st.booleans(), st.none(), TEXT, st.binary())


@given(
    st.dictionaries(
        TEXT,
        st.dictionaries(
            st.integers(0, 10**7),
            st.dictionaries(TEXT, METRIC | st.lists(METRIC, max_size=3)),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_metrics_come_back_equal(metrics):
    fields = described(content(1, metrics=metrics))
    read = read_manifest(write_manifest(fields, StoredObject("w", 0, ""), None))
    assert repr(read.content.metrics) == repr(_with_python_floats(metrics))


def _with_python_floats(value):
    if isinstance(value, dict):
        return {key: _with_python_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_python_floats(item) for item in value]
    return float(value) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([0.5]), [0.5]),
        ((1, 2.5), [1, 2.5]),
        (Decimal("1.5"), "1.5"),
        ({"a": np.float32(1)}, {"a": 1}),
        ({"$float": "x"}, {"$float": "x"}),
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
