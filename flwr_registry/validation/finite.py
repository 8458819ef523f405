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

__all__ = ["count_non_finite"]

# Smaller products, OpenBLAS computes on one core.
_BLOCK_BYTES = 4 * 1024 * 1024
_ROW_LENGTH = 1024
# These are read twice, the second time from the cache.
_HALF_BLOCK_BYTES = 512 * 1024

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
