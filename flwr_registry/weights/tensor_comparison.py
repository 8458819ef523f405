"""How far the weights of two files lie apart, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.records import LayerDiff, LayerMismatch, StoredObject, WeightsDiff
from flwr_registry.storage import StorageBackend
from flwr_registry.weights.stored_tensors import (
    StoredTensor,
    StoredTensors,
    open_tensors,
)

__all__ = ["compare_stored", "compare_tensors"]

_NUMBERS = "biufc"


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of squares and products; those of two parts add up to those of both."""

    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    changes: float = 0.0
    largest: float = 0.0

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.aa + other.aa,
            self.bb + other.bb,
            self.ab + other.ab,
            self.changes + other.changes,
            # Unlike max, it keeps NaN wherever it comes.
            float(np.maximum(self.largest, other.largest)),
        )

    def layer(self, name: str) -> LayerDiff:
        return LayerDiff(
            name,
            norm_a=math.sqrt(self.aa),
            norm_b=math.sqrt(self.bb),
            norm_difference=math.sqrt(self.changes),
            largest_change=self.largest,
            cosine=self._cosine(),
        )

    def _cosine(self) -> float | None:
        norms = math.sqrt(self.aa) * math.sqrt(self.bb)
        if not norms or not math.isfinite(norms) or not math.isfinite(self.ab):
            return None
        return min(1.0, max(-1.0, self.ab / norms))


def compare_stored(
    storage: StorageBackend, a: StoredObject, b: StoredObject
) -> WeightsDiff:
    """Compare the weights of two stored files, verifying both first.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `open_tensors` does.
    """
    with open_tensors(storage, a) as of_a, open_tensors(storage, b) as of_b:
        return compare_tensors(of_a, of_b, identical=a.sha256 == b.sha256)


def compare_tensors(
    a: StoredTensors, b: StoredTensors, *, identical: bool
) -> WeightsDiff:
    """Compare the tensors of two open files.

    Parameters
    ----------
    identical : bool
        The files are the same, byte for byte.
    """
    if a.opaque or b.opaque:
        return WeightsDiff(identical, opaque=True)
    shared = [name for name in a if name in b]
    alike = [name for name in shared if _form(a[name]) == _form(b[name])]
    # In the order of the file, which is not that of its header.
    sums = {name: _sums(a, b, name) for name in sorted(alike, key=lambda n: a[n].begin)}
    return WeightsDiff(
        identical,
        layers=tuple(sums[name].layer(name) for name in alike),
        total=sum(sums.values(), _Sums()).layer("") if alike else None,
        mismatched=tuple(
            LayerMismatch(name, *_names(a, b, name), a[name].shape, b[name].shape)
            for name in shared
            if name not in sums
        ),
        only_in_a=tuple(name for name in a if name not in b),
        only_in_b=tuple(name for name in b if name not in a),
    )


def _form(tensor: StoredTensor) -> tuple[np.dtype[Any], tuple[int, ...]]:
    return tensor.dtype.newbyteorder("="), tensor.shape


def _names(a: StoredTensors, b: StoredTensors, name: str) -> tuple[str, str]:
    return str(a[name].dtype), str(b[name].dtype)


def _sums(a: StoredTensors, b: StoredTensors, name: str) -> _Sums:
    total = _Sums()
    with np.errstate(all="ignore"):
        for of_a, of_b in zip(a.blocks(name), b.blocks(name), strict=True):
            total += _sums_of(_as_numbers(of_a), _as_numbers(of_b))
    return total


def _as_numbers(block: NDArray[Any]) -> NDArray[Any]:
    """View complex numbers as pairs, and what is no number as its bytes."""
    if block.dtype.kind == "c":
        return block.view(block.real.dtype)
    return block if block.dtype.kind in _NUMBERS else block.view(np.uint8)


def _sums_of(a: NDArray[Any], b: NDArray[Any]) -> _Sums:
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    aa, bb, ab = float(wide_a @ wide_a), float(wide_b @ wide_b), float(wide_a @ wide_b)
    if a.dtype.kind in "iu" and a.itemsize == 8:
        change = _integer_change(a, b)
    else:
        change = np.subtract(wide_b, wide_a, out=wide_b)
    largest = max(abs(float(change.max())), abs(float(change.min())))
    return _Sums(aa, bb, ab, float(change @ change), largest)


def _integer_change(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Subtract before rounding: doubles cannot tell large neighbours apart."""
    unsigned_a, unsigned_b = a.astype(np.uint64), b.astype(np.uint64)
    change = np.where(b > a, unsigned_b - unsigned_a, unsigned_a - unsigned_b)
    return change.astype(np.float64)
