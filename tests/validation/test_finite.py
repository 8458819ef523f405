"""NaN and Inf are found and counted, wherever they are."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.validation.finite import count_newly_non_finite, count_non_finite

FLOATS = st.one_of(
    hnp.floating_dtypes(endianness="?"), hnp.complex_number_dtypes(endianness="?")
)
LAYOUTS = [
    np.ascontiguousarray,
    np.asfortranarray,
    lambda array: np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array,
]


@given(
    FLOATS.flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
    ),
    st.sampled_from(LAYOUTS),
)
def test_it_counts_as_numpy_does(array, layout):
    array = layout(array).reshape(array.shape)
    nan, inf = count_non_finite(array)
    assert nan == np.isnan(array).sum()
    assert nan + inf == array.size - np.isfinite(array).sum()


NUMBERS = st.one_of(FLOATS, hnp.integer_dtypes(endianness="?"), hnp.boolean_dtypes())


@given(st.data(), hnp.array_shapes(min_dims=0, min_side=0), FLOATS, NUMBERS)
def test_it_counts_what_became_so_as_numpy_does(data, shape, dtype, dtype_before):
    array = data.draw(hnp.arrays(dtype, shape))
    before = data.draw(hnp.arrays(dtype_before, shape))
    layouts = [data.draw(st.sampled_from(LAYOUTS)) for _ in range(2)]
    array = layouts[0](array).reshape(shape)
    before = layouts[1](before).reshape(shape)
    nan, inf = count_newly_non_finite(array, before)
    fresh = ~np.isfinite(array) & np.isfinite(before)
    assert nan == (fresh & np.isnan(array)).sum()
    assert nan + inf == fresh.sum()
    assert count_newly_non_finite(array, array) == (0, 0)


@pytest.mark.parametrize(
    "before", [None, np.zeros(2), np.zeros((3, 1)), np.array(["a", "b", "c"])]
)
def test_nothing_becomes_so_without_a_counterpart(before):
    assert count_newly_non_finite(np.full(3, np.nan), before) == (0, 0)


def test_positions_agree_across_blocks_and_memory_orders():
    array = np.full((1501, 1499), np.nan, np.float32)
    before = np.asfortranarray(array)
    before[1500, 3] = 1
    assert count_newly_non_finite(array, before) == (1, 0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "g", ">f4"])
@pytest.mark.parametrize("position", [0, 299_999, 600_000])
def test_one_value_among_many_blocks(dtype, position):
    array = np.ones(600_001, dtype)
    array[position] = np.nan
    assert count_non_finite(array) == (1, 0)
    array[position] = -np.inf
    assert count_non_finite(array) == (0, 1)


def test_large_values_are_finite():
    assert count_non_finite(np.full(1000, 3e38, np.float32)) == (0, 0)
    assert count_non_finite(np.full(1000, 1e300)) == (0, 0)
    assert count_non_finite(np.full(9, 65504, np.float16)) == (0, 0)


@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "U2", "M8[s]"])
def test_dtypes_without_non_finite_values(dtype):
    assert count_non_finite(np.zeros(3, dtype)) == (0, 0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_no_temporary_is_large(dtype):
    array = np.ones(2**24, dtype)
    tracemalloc.start()
    count_non_finite(array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
