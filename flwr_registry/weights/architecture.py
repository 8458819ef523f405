"""What makes two sets of weights compatible, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.weights.named_arrays import Weights

__all__ = ["Architecture", "TensorSpec", "dtypes_to_cast_back"]

_INTEGER_KINDS = "iub"
_WIDENED_KINDS = "fc"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype (as numpy prints it) and shape of one array."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers or truth values."""
        return np.dtype(self.dtype).kind in _INTEGER_KINDS

    @property
    def is_floating(self) -> bool:
        """Whether the values are floats."""
        return np.dtype(self.dtype).kind == "f"

    def was_changed_by_arithmetic(self, found: np.dtype[Any]) -> bool:
        """Whether averaging or other arithmetic made this dtype the one that is found.

        An integer becomes a float, and a float, or complex, a wider one.
        """
        if self.is_integer:
            return found.kind == "f"
        own = np.dtype(self.dtype)
        return (
            own.kind in _WIDENED_KINDS
            and found.kind == own.kind
            and found.itemsize > own.itemsize
        )


@dataclass(frozen=True, slots=True)
class Architecture:
    """Names, dtypes and shapes of a model, in order.

    Attributes
    ----------
    tensors : tuple of TensorSpec
        Empty for opaque content.
    opaque : bool
        The model is serialized content, any of which is compatible with any other.
    fingerprint : str
        64 hexadecimal digits over names, shapes and floating dtypes. Integer dtypes all
        count alike. What arithmetic turned into a float, or a wider one, counts as what
        it was.
    """

    tensors: tuple[TensorSpec, ...]
    opaque: bool = False
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    @classmethod
    def of(
        cls, weights: Weights, reference: Architecture | None = None
    ) -> Architecture:
        """Describe weights, seeing widened arrays as what they were.

        Parameters
        ----------
        weights : Weights
            The weights to describe.
        reference : Architecture, optional
            Where it has an integer, or a narrower float, of the same name and shape,
            that counts.
        """
        if weights.opaque:
            return cls((), opaque=True)
        cast_back = {**weights.cast_back, **dtypes_to_cast_back(weights, reference)}
        return cls(
            tuple(
                TensorSpec(name, cast_back.get(name, _dtype_of(array)), array.shape)
                for name, array in weights.items()
            )
        )

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Architecture:
        """Read what `to_json` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError
            For anything else.
        """
        tensors = tuple(
            TensorSpec(str(name), str(np.dtype(dtype)), tuple(map(int, shape)))
            for name, dtype, shape in described["tensors"]
        )
        return cls(tensors, opaque=bool(described["opaque"]))

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        tensors = [[each.name, each.dtype, list(each.shape)] for each in self.tensors]
        return {"opaque": self.opaque, "tensors": tensors}


def dtypes_to_cast_back(
    weights: Mapping[str, NDArray[Any]], reference: Architecture | None
) -> dict[str, str]:
    """Dtypes of the reference where arithmetic made others of them in the weights.

    Averaging makes floats of integers, such as the counters of BatchNorm, and several
    strategies make float64 of float32. Shapes have to agree.
    """
    if reference is None:
        return {}
    return {
        spec.name: spec.dtype
        for spec in reference.tensors
        if spec.name in weights
        and weights[spec.name].shape == spec.shape
        and spec.was_changed_by_arithmetic(weights[spec.name].dtype)
    }


def _dtype_of(array: NDArray[Any]) -> str:
    return str(array.dtype.newbyteorder("="))


def _fingerprint(architecture: Architecture) -> str:
    tensors: Any = [
        [spec.name, "integer" if spec.is_integer else spec.dtype, list(spec.shape)]
        for spec in architecture.tensors
    ]
    described = "opaque" if architecture.opaque else tensors
    text = json.dumps(described, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
