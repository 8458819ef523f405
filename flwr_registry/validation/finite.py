"""Counting values that are not finite, at the speed at which memory can be read.

A finite sum proves every value of it finite. A sum that is not finite may also be the
overflow of finite values; then the block is counted exactly. Sums of rows are a product
of a matrix and a vector, which BLAS computes on all cores, unlike `np.sum`. Halves,
which numpy multiplies slowly, are compared as integers. No temporary is larger than a
block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_newly_non_finite", "count_non_finite"]

# Smaller products, OpenBLAS computes on one core.
_BLOCK_BYTES = 4 * 1024 * 1024
_ROW_LENGTH = 1024
# These are read twice, the second time from the cache.
_HALF_BLOCK_BYTES = 512 * 1024

_NUMBERS = "biufc"

# Read as integers, the halves that are not finite are the largest of their sign.
_POSITIVE_HALF_INFINITY = 0x7C00
_NEGATIVE_HALF_INFINITY = 0xFC00


def count_non_finite(array: NDArray[Any]) -> tuple[int, int]:
    """Count the values that are NaN, and those that are infinite.

    Parameters
    ----------
    array : numpy.ndarray
        Of any dtype, shape and layout; a complex value with one NaN part is NaN.

    Returns
    -------
    nan, inf : int
        Both 0 for dtypes that hold neither.
    """
    if array.dtype.kind not in "fc":
        return 0, 0
    nan = inf = 0
    with np.errstate(all="ignore"):
        for block in _blocks(array):
            if not _all_finite(block):
                num_nan = int(np.count_nonzero(np.isnan(block)))
                nan += num_nan
                inf += block.size - num_nan - int(np.count_nonzero(np.isfinite(block)))
    return nan, inf


def count_newly_non_finite(
    array: NDArray[Any], before: NDArray[Any] | None
) -> tuple[int, int]:
    """Count the values that became NaN or infinite, position by position.

    Parameters
    ----------
    array : numpy.ndarray
        Read once when all of it is finite, which then costs what `count_non_finite`
        does.
    before : numpy.ndarray or None
        The same values at an earlier time, of any dtype and layout. Those that were not
        finite then do not count. Without it, or with another shape, none count.

    Returns
    -------
    nan, inf : int
        How many are one and the other now.
    """
    counted = count_non_finite(array)
    if counted == (0, 0) or before is None or before.shape != array.shape:
        return 0, 0
    if before.dtype.kind not in _NUMBERS:
        return 0, 0
    nan = inf = 0
    with np.errstate(all="ignore"):
        for block, old in _pairs_of_blocks(array, before):
            fresh = block[~np.isfinite(block) & np.isfinite(old)]
            num_nan = int(np.count_nonzero(np.isnan(fresh)))
            nan += num_nan
            inf += fresh.size - num_nan
    return nan, inf


def _all_finite(block: NDArray[Any]) -> bool:
    if block.dtype == np.float16:
        return bool(
            block.view(np.int16).max(initial=0) < _POSITIVE_HALF_INFINITY
            and block.view(np.uint16).max(initial=0) < _NEGATIVE_HALF_INFINITY
        )
    if block.dtype.char in "fdFD":
        in_rows = block.size - block.size % _ROW_LENGTH
        sums = block[:in_rows].reshape(-1, _ROW_LENGTH) @ np.ones(
            _ROW_LENGTH, block.dtype
        )
        return bool(np.isfinite(sums).all() and np.isfinite(block[in_rows:]).all())
    return bool(np.isfinite(block).all())


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """All values in contiguous blocks of the native byte order, in any order."""
    block_bytes = _HALF_BLOCK_BYTES if array.dtype == np.float16 else _BLOCK_BYTES
    count = max(1, block_bytes // array.itemsize)
    in_one_piece = array.flags.c_contiguous or array.flags.f_contiguous
    if in_one_piece and array.dtype.isnative and array.flags.aligned:
        flat = array.ravel(order="K")
        for start in range(0, flat.size, count):
            yield flat[start : start + count]
        return
    yield from np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=["readonly", "nbo", "aligned"],
        buffersize=count,
    )


def _pairs_of_blocks(
    one: NDArray[Any], other: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """All values of two arrays of one shape, those of each position together."""
    pairs: Iterator[tuple[NDArray[Any], NDArray[Any]]] = np.nditer(
        [one, other],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly", "nbo", "aligned"]] * 2,
        buffersize=_BLOCK_BYTES // max(one.itemsize, other.itemsize),
    )  # type: ignore[assignment]
    yield from pairs
