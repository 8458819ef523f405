"""Flower's arrays as ours, without copying one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.common import Parameters
from numpy.typing import NDArray

from flwr_registry.errors import WeightsFormatError
from flwr_registry.strategy.aggregate import Buffers
from flwr_registry.weights import (
    Architecture,
    NpyImages,
    Weights,
    dtypes_to_cast_back,
)

__all__ = [
    "array_view",
    "buffers_of",
    "parameters_of",
    "record_of",
    "weights_of",
]

_NPY_MAGIC = b"\x93NUMPY"


def buffers_of(model: ArrayRecord | Parameters | None) -> Buffers:
    """Take hold of a model's bytes; the record that holds them may be drained later."""
    match model:
        case ArrayRecord():
            return tuple(array.data for array in model.values())
        case Parameters():
            return tuple(model.tensors)
        case _:
            return ()


def weights_of(
    model: ArrayRecord | Parameters | None,
    names: Sequence[str] | None = None,
    reference: Architecture | None = None,
) -> Weights | None:
    """View a model's arrays on Flower's own immutable bytes.

    Parameters
    ----------
    model : ArrayRecord or Parameters or None
        What a strategy returned.
    names : sequence of str, optional
        Names of legacy tensors, which have none; their positions otherwise, also for
        those beyond the names, such as control variates behind the weights, and for all
        where there are more names than tensors.
    reference : Architecture, optional
        Tells what arrays were before arithmetic widened them.

    Returns
    -------
    Weights or None
        None when there is no model, or it has no arrays.

    Raises
    ------
    WeightsFormatError
        For bytes that are no array.
    """
    data = buffers_of(model)
    if isinstance(model, ArrayRecord):
        names = list(model)
    else:
        names = _names_for(len(data), names)
    arrays = {
        name: array_view(name, buffer)
        for name, buffer in zip(names, data, strict=True)
        if buffer
    }
    if not arrays:
        return None
    return Weights(
        arrays,
        opaque=_is_opaque(arrays, data),
        cast_back=dtypes_to_cast_back(arrays, reference),
    )


def record_of(model: NpyImages, tensor_type: str = "") -> ArrayRecord:
    """Return stored arrays as the message API has them, without copying one.

    Its arrays are numpy's always.
    """
    views = {name: array_view(name, image) for name, image in model.images.items()}
    return ArrayRecord(
        {
            name: Array(
                str(view.dtype), tuple(view.shape), "numpy.ndarray", model.images[name]
            )
            for name, view in views.items()
        }
    )


def parameters_of(model: NpyImages, tensor_type: str = "") -> Parameters:
    """Return stored arrays as the legacy API has them, without copying a tensor.

    A serialized model is given as its own bytes.

    Parameters
    ----------
    tensor_type : str
        What Flower calls their form; by default numpy's, or nothing.
    """
    if model.opaque:
        raw = [array_view(*each).tobytes() for each in model.images.items()]
        return Parameters(raw, tensor_type)
    return Parameters(list(model.images.values()), tensor_type or "numpy.ndarray")


def array_view(name: str, data: bytes) -> NDArray[Any]:
    """View the array in a ``.npy`` image; other bytes are viewed as they are.

    The image's own header is trusted and nothing else: arrays that passed through the
    legacy API carry neither dtype nor shape beside it.
    """
    if not data.startswith(_NPY_MAGIC):
        return np.frombuffer(data, np.uint8)
    image = io.BytesIO(data)
    try:
        major, _ = np.lib.format.read_magic(image)
        read = {
            1: np.lib.format.read_array_header_1_0,
            2: np.lib.format.read_array_header_2_0,
        }[major]
        shape, fortran_order, dtype = read(image)
        if dtype.hasobject:
            raise ValueError("it holds pickled objects")
        flat = np.frombuffer(data, dtype, int(np.prod(shape)), image.tell())
    except (KeyError, ValueError) as error:
        raise WeightsFormatError(f"array {name!r} is unreadable: {error}") from error
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _names_for(count: int, names: Sequence[str] | None) -> Sequence[str]:
    """Name arrays that have no names; those beyond the user's by their position."""
    known = names if names is not None and len(names) <= count else ()
    found = [*known, *map(str, range(len(known), count))]
    is_clear = len(set(found)) == count
    return found if is_clear else [str(position) for position in range(count)]


def _is_opaque(arrays: Mapping[str, NDArray[Any]], data: Buffers) -> bool:
    """Tell a serialized model: bytes that are no array, or one lone vector of bytes."""
    if any(buffer and not buffer.startswith(_NPY_MAGIC) for buffer in data):
        return True
    first = next(iter(arrays.values()))
    return len(arrays) == 1 and first.dtype == np.uint8 and first.ndim == 1
