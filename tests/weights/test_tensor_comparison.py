"""Streamed comparisons are those of plain numpy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flwr_registry.storage import LocalStorageBackend
from flwr_registry.weights import Weights, compare_stored, save_weights, stored_tensors


@pytest.fixture(autouse=True, scope="module")
def _small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_tensors, "_BLOCK_BYTES", 48)
        yield


@pytest.fixture(scope="module")
def compare(tmp_path_factory):
    storage = LocalStorageBackend(tmp_path_factory.mktemp("weights"))

    def compared(a, b):
        stored = [save_weights(storage, k, Weights(w)) for k, w in (("a", a), ("b", b))]
        return compare_stored(storage, *stored)

    return compared


DTYPES = ("f2", "f4", "f8", ">f4", "i1", "i4", "u8", "?", "c8")


@st.composite
def pairs(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    one = arrays.arrays(dtype, shape)
    return draw(one), draw(one)


def as_doubles(array):
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return array.astype(wide).ravel().view(np.float64)


@settings(deadline=None)
@given(pairs())
def test_norms_cosine_and_changes(compare, pair):
    a, b = pair
    (layer,) = compare({"w": a}, {"w": b}).layers
    with np.errstate(all="ignore"):
        wide_a, wide_b = as_doubles(a), as_doubles(b)
        change = wide_b - wide_a
        if a.dtype.kind in "iu":
            exact = [abs(int(y) - int(x)) for x, y in zip(a.flat, b.flat, strict=True)]
            change = np.array(exact, np.float64)
        norms = [math.sqrt(float(each @ each)) for each in (wide_a, wide_b, change)]
        largest = float(np.abs(change).max(initial=0))
    found = [layer.norm_a, layer.norm_b, layer.norm_difference]
    assert found == pytest.approx(norms, nan_ok=True)
    assert layer.largest_change == pytest.approx(largest, nan_ok=True)
    if layer.cosine is not None:
        assert -1 <= layer.cosine <= 1


def test_several_layers_add_up_to_one_vector(compare):
    a = {"x": np.ones(30), "y": np.zeros((2, 5))}
    b = {"x": np.ones(30), "y": np.full((2, 5), 2.0)}
    total = compare(a, b).total
    assert total.norm_difference == pytest.approx(math.sqrt(40))
    assert total.cosine == pytest.approx(30 / math.sqrt(30 * 70))


def test_serialized_models_are_not_compared(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    model = Weights({"0": np.zeros(3, np.uint8)}, opaque=True)
    stored = save_weights(storage, "m", model)
    found = compare_stored(storage, stored, stored)
    assert (found.opaque, found.identical, found.layers) == (True, True, ())
