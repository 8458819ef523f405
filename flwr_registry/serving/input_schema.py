"""What a model takes: names, dtypes and shapes of its inputs, and inputs made to fit.

Names of dtypes are those of the Open Inference Protocol, version 2
(https://github.com/kserve/open-inference-protocol, "Tensor Data Types").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import InvalidInputError

__all__ = [
    "DATATYPES",
    "DEFAULT_INPUT",
    "InputSchema",
    "NamedArrays",
    "TensorSchema",
    "datatype_of",
    "named_inputs",
]

NamedArrays = Mapping[str, NDArray[Any]]

DEFAULT_INPUT = "input"
"""Name of an input that nobody named."""

ANY = -1
"""A dimension of any length."""

DATATYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(text)
    for name, text in {
        "BOOL": "?",
        "UINT8": "u1",
        "UINT16": "<u2",
        "UINT32": "<u4",
        "UINT64": "<u8",
        "INT8": "i1",
        "INT16": "<i2",
        "INT32": "<i4",
        "INT64": "<i8",
        "FP16": "<f2",
        "FP32": "<f4",
        "FP64": "<f8",
    }.items()
}
"""The protocol's dtypes that numpy has, but for text."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the protocol's name of a dtype.

    Raises
    ------
    InvalidInputError
        When it has none.
    """
    name = _NAMES.get(dtype.newbyteorder("<"))
    if name is None:
        raise InvalidInputError(
            f"dtype {dtype} is not served: use one of {', '.join(DATATYPES)}"
        )
    return name


@dataclass(frozen=True, slots=True)
class TensorSchema:
    """One input.

    Attributes
    ----------
    shape : tuple of int
        The first is the number of examples; -1 for any length.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def fit(self, value: Any) -> NDArray[Any]:
        """Return an input as an array of this dtype and shape.

        Numbers are converted within their kind and from integers to floats, never from
        floats to integers.

        Raises
        ------
        InvalidInputError
            When it has another shape, or values that this dtype cannot hold.
        """
        array = _as_array(self.name, value)
        fits = len(array.shape) == len(self.shape) and all(
            wanted in (ANY, found)
            for wanted, found in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise InvalidInputError(
                f"input {self.name!r} has shape {_shown(array.shape)}, expected "
                f"{_shown(self.shape)}"
            )
        if not array.size:
            return array.astype(self.dtype)
        are_integers = array.dtype.kind in "iu" and self.dtype.kind in "iu"
        if not are_integers and not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise InvalidInputError(
                f"input {self.name!r} has dtype {array.dtype}, expected {self.dtype}"
            )
        with np.errstate(over="ignore"):
            fitted = array.astype(self.dtype, copy=False)
        if self.dtype.kind in "iu" and not np.array_equal(fitted, array):
            raise InvalidInputError(
                f"input {self.name!r} has values that {self.dtype} cannot hold"
            )
        return fitted

    def to_json(self) -> dict[str, Any]:
        """Return the protocol's description."""
        return {
            "name": self.name,
            "datatype": datatype_of(self.dtype),
            "shape": list(self.shape),
        }


@dataclass(frozen=True, slots=True)
class InputSchema:
    """All inputs of a model, in the order that it takes them."""

    tensors: tuple[TensorSchema, ...]

    @classmethod
    def of(cls, example: Any) -> InputSchema:
        """Describe inputs like these; how many examples there are stays open.

        Parameters
        ----------
        example : array, torch tensor, or mapping of names to such
            At least one example, along the first axis.

        Raises
        ------
        InvalidInputError
            For inputs without a first axis, or of a dtype that is not served.
        """
        tensors = []
        for name, array in named_inputs(example, None).items():
            datatype_of(array.dtype)
            shape = (ANY, *array.shape[1:])
            dtype = array.dtype.newbyteorder("=")
            tensors.append(TensorSchema(name, dtype, shape))
        return cls(tuple(tensors))

    @classmethod
    def from_json(cls, described: Any) -> InputSchema:
        """Read what `to_json` wrote, as it was recorded with a version.

        Raises
        ------
        InvalidInputError
            When it is no such description.
        """
        try:
            tensors = tuple(
                TensorSchema(
                    str(each["name"]),
                    DATATYPES[each["datatype"]],
                    tuple(int(length) for length in each["shape"]),
                )
                for each in described
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                "an input schema is a list of {name, datatype, shape}, with a datatype "
                f"of {', '.join(DATATYPES)}, not {str(described)[:200]}"
            ) from error
        if not tensors or not all(each.shape for each in tensors):
            raise InvalidInputError("an input schema names at least one input, batched")
        return cls(tensors)

    def to_json(self) -> list[dict[str, Any]]:
        """Return a description that can be recorded with a version."""
        return [each.to_json() for each in self.tensors]

    def fit(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return inputs as arrays of the dtypes and shapes of this schema.

        Raises
        ------
        InvalidInputError
            Naming the input that is missing, unknown or does not fit.
        """
        known = [each.name for each in self.tensors]
        for name in inputs:
            if name not in known:
                raise InvalidInputError(
                    f"unknown input {name!r}: the model takes {', '.join(known)}"
                )
        for name in known:
            if name not in inputs:
                raise InvalidInputError(f"input {name!r} is missing")
        return {each.name: each.fit(inputs[each.name]) for each in self.tensors}

    def zeros(self) -> dict[str, NDArray[Any]]:
        """Return one example of zeros; open dimensions have length 1."""
        return {
            each.name: np.zeros([max(1, length) for length in each.shape], each.dtype)
            for each in self.tensors
        }


def named_inputs(inputs: Any, schema: InputSchema | None) -> dict[str, NDArray[Any]]:
    """Turn what a user gives into arrays under their names.

    Parameters
    ----------
    inputs : array, torch tensor, nested lists, JSON text, or mapping of names to such
        Inputs that are not named are the schema's first.
    schema : InputSchema or None
        Without one, lists of numbers become float32: JSON does not tell 1 from 1.0. A
        model that takes integers has a schema, or gets arrays.

    Raises
    ------
    InvalidInputError
        When they are no arrays, do not fit the schema, or differ in their first axis.
    """
    if isinstance(inputs, str | bytes | bytearray):
        try:
            inputs = json.loads(inputs)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError("the inputs are no sound JSON") from error
    if not isinstance(inputs, Mapping):
        inputs = {schema.tensors[0].name if schema else DEFAULT_INPUT: inputs}
    if not inputs:
        raise InvalidInputError("there is no input")
    if schema is not None:
        arrays = schema.fit(inputs)
    else:
        arrays = {str(name): _unknown(name, each) for name, each in inputs.items()}
    _check_rows(arrays)
    return arrays


def _check_rows(arrays: NamedArrays) -> None:
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    for name, length in lengths.items():
        if not length:
            raise InvalidInputError(
                f"input {name!r} is a single number: the first axis counts examples"
            )
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name!r} has {each[0]}" for name, each in lengths.items())
        raise InvalidInputError(f"the inputs differ in their examples: {counts}")


def _unknown(name: str, value: Any) -> NDArray[Any]:
    """Return an input of which nothing is known as an array."""
    array = _as_array(name, value)
    is_plain = isinstance(value, list | tuple | int | float)
    return array.astype(np.float32) if is_plain else array


def _as_array(name: str, value: Any) -> NDArray[Any]:
    try:
        if callable(getattr(value, "detach", None)):
            value = value.detach().cpu().numpy()
        array = np.asarray(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"input {name!r} is no array of numbers, or its rows differ in length"
        ) from error
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"input {name!r} has dtype {array.dtype}: numbers are needed"
        )
    return array


def _shown(shape: Iterable[int]) -> str:
    lengths = ("any" if each == ANY else str(each) for each in shape)
    return f"[{', '.join(lengths)}]"
