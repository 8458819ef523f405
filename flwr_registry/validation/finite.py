"""Counting values that are not finite, at the speed at which memory can be read.

A finite dot product of a block with itself proves every value of it finite. A product
that is not finite may also be the overflow of finite values; then the block is counted
exactly. No temporary is larger than a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_non_finite"]

_BLOCK_BYTES = 1024 * 1024
_HALF_EXPONENT = np.uint16(0x7C00)


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
        exponents = block.view(np.uint16) & _HALF_EXPONENT
        return not bool((exponents == _HALF_EXPONENT).any())
    if block.dtype.char in "fdFD":
        return bool(np.isfinite(np.dot(block, block)))
    return bool(np.isfinite(block).all())


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """All values in contiguous blocks of the native byte order, in any order."""
    count = max(1, _BLOCK_BYTES // array.itemsize)
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
