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

__all__ = ["Architecture", "TensorSpec", "counters_to_cast_back"]

_INTEGER_KINDS = "iub"


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
        count alike, and so does an integer that averaging turned into a float.
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
        """Describe weights, seeing averaged counters as the integers that they were.

        Parameters
        ----------
        weights : Weights
            The weights to describe.
        reference : Architecture, optional
            Where it has an integer and the weights a float of the same name and shape,
            the integer counts.
        """
        if weights.opaque:
            return cls((), opaque=True)
        cast_back = {**weights.cast_back, **counters_to_cast_back(weights, reference)}
        return cls(
            tuple(
                TensorSpec(name, cast_back.get(name, _dtype_of(array)), array.shape)
                for name, array in weights.items()
            )
        )


def counters_to_cast_back(
    weights: Mapping[str, NDArray[Any]], reference: Architecture | None
) -> dict[str, str]:
    """Integer dtypes of the reference where the weights hold floats of that shape."""
    if reference is None:
        return {}
    return {
        spec.name: spec.dtype
        for spec in reference.tensors
        if spec.is_integer
        and spec.name in weights
        and weights[spec.name].dtype.kind == "f"
        and weights[spec.name].shape == spec.shape
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
