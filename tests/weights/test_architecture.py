"""The fingerprint: what it sees and what it does not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.weights import (
    Architecture,
    TensorSpec,
    Weights,
    dtypes_to_cast_back,
)

BATCH_NORM = {
    "weight": np.ones(3, np.float32),
    "num_batches_tracked": np.array(17, np.int64),
}


def fingerprint(arrays, **options):
    return Architecture.of(Weights(arrays, **options)).fingerprint


def test_values_do_not_matter():
    assert fingerprint({"w": np.zeros(3)}) == fingerprint({"w": np.ones(3)})


@pytest.mark.parametrize(
    "other",
    [
        {"v": np.zeros(3)},
        {"w": np.zeros(4)},
        {"w": np.zeros((3, 1))},
        {"w": np.zeros(3, np.float32)},
        {"w": np.zeros(3), "v": np.zeros(1)},
        {"w": np.zeros(3, np.int64)},
    ],
)
def test_names_shapes_and_floating_dtypes_matter(other):
    assert fingerprint({"w": np.zeros(3)}) != fingerprint(other)


def test_integer_widths_and_memory_layout_do_not_matter():
    assert fingerprint({"n": np.zeros(3, np.int32)}) == fingerprint(
        {"n": np.zeros(3, np.int64)}
    )
    square = np.arange(4.0).reshape(2, 2)
    assert fingerprint({"w": square}) == fingerprint({"w": np.asfortranarray(square)})
    assert fingerprint({"w": square}) == fingerprint({"w": square.astype(">f8")})


def test_an_averaged_counter_is_no_new_architecture():
    reference = Architecture.of(Weights(BATCH_NORM))
    averaged = {**BATCH_NORM, "num_batches_tracked": np.array(17.0)}
    assert dtypes_to_cast_back(averaged, reference) == {"num_batches_tracked": "int64"}
    seen = Architecture.of(Weights(averaged), reference)
    assert seen.fingerprint == reference.fingerprint
    noted = Weights(averaged, cast_back={"num_batches_tracked": "int64"})
    assert Architecture.of(noted).fingerprint == reference.fingerprint
    assert fingerprint(averaged) != reference.fingerprint


@pytest.mark.parametrize(
    ("before", "after", "noted"),
    [
        ("f4", "f8", "float32"),
        ("f2", ">f4", "float16"),
        ("c8", "c16", "complex64"),
        ("?", "f8", "bool"),
        ("f8", "f4", None),
        ("f4", "f4", None),
        ("f4", "c8", None),
        ("f4", "i8", None),
        ("i4", "i8", None),
        ("U1", "U2", None),
    ],
)
def test_what_arithmetic_widened_is_known_by_its_former_dtype(before, after, noted):
    reference = Architecture.of(Weights({"w": np.zeros(3, before)}))
    found = {"w": np.zeros(3, after)}
    cast_back = dtypes_to_cast_back(found, reference)
    assert cast_back == ({"w": noted} if noted else {})
    assert dtypes_to_cast_back({"w": np.zeros(4, after)}, reference) == {}
    assert dtypes_to_cast_back(found, None) == {}
    seen = Architecture.of(Weights(found, cast_back=cast_back))
    assert seen == Architecture.of(Weights(found), reference)
    if noted:
        assert seen.fingerprint == reference.fingerprint


def test_what_was_widened_twice_is_still_what_it_was_at_first():
    reference = Architecture.of(Weights({"w": np.zeros(3, np.float16)}))
    once = Architecture.of(Weights({"w": np.zeros(3, np.float32)}), reference)
    twice = Architecture.of(Weights({"w": np.zeros(3)}), once)
    assert twice == once == reference


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.tuples(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_side=2)),
    ),
    st.booleans(),
)
def test_it_comes_back_from_json(described, opaque):
    specs = [
        TensorSpec(name, str(dtype.newbyteorder("=")), shape)
        for name, (dtype, shape) in described.items()
    ]
    known = Architecture(tuple(specs), opaque=opaque)
    read = Architecture.from_json(json.loads(json.dumps(known.to_json())))
    assert read == known
    assert read.fingerprint == known.fingerprint


def test_opaque_content_of_any_length_is_one_architecture():
    short, long = np.zeros(3, np.uint8), np.zeros(9, np.uint8)
    assert fingerprint({"0": short}, opaque=True) == fingerprint(
        {"0": long}, opaque=True
    )
    assert fingerprint({"0": short}, opaque=True) != fingerprint({"0": short})
