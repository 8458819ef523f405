"""The fingerprint: what it sees and what it does not."""

import numpy as np
import pytest

from flwr_registry.weights import Architecture, Weights, counters_to_cast_back

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
    assert counters_to_cast_back(averaged, reference) == {
        "num_batches_tracked": "int64"
    }
    seen = Architecture.of(Weights(averaged), reference)
    assert seen.fingerprint == reference.fingerprint
    noted = Weights(averaged, cast_back={"num_batches_tracked": "int64"})
    assert Architecture.of(noted).fingerprint == reference.fingerprint
    assert fingerprint(averaged) != reference.fingerprint


def test_opaque_content_of_any_length_is_one_architecture():
    short, long = np.zeros(3, np.uint8), np.zeros(9, np.uint8)
    assert fingerprint({"0": short}, opaque=True) == fingerprint(
        {"0": long}, opaque=True
    )
    assert fingerprint({"0": short}, opaque=True) != fingerprint({"0": short})
