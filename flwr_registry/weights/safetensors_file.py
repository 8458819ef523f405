"""Weights as a safetensors file, written as slices and read as views.

The format: 8 bytes little-endian header length, a JSON header, the tensors' bytes
(https://huggingface.co/docs/safetensors, "Format"). What the format cannot say (byte
order, memory order, dtypes that it lacks) is kept in its metadata, so that reading
gives back exactly what was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights.architecture import Architecture
from flwr_registry.weights.file_growth import is_possible_shape
from flwr_registry.weights.file_notes import (
    CAST_BACK,
    FINGERPRINT,
    LAYOUT,
    OPAQUE,
    checked_dtype,
    dtypes_before_widening,
    is_opaque,
    layout_notes,
)
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_header import (
    DTYPES,
    HEADER_ALIGNMENT,
    LENGTH_BYTES,
    Entry,
    parse_header,
)

__all__ = [
    "SLICE_BYTES",
    "SafetensorsContent",
    "assemble",
    "decode",
    "encode",
    "original_forms",
]

SLICE_BYTES = 4 * 1024 * 1024
"""Slices this long keep hashing and writing out of the way of other threads."""

_CODES = {dtype: code for code, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class SafetensorsContent:
    """The slices of a safetensors file, made from views of the arrays.

    Attributes
    ----------
    header : bytes
        Length and JSON header.
    arrays : tuple of numpy.ndarray
        In the order of the file.
    size_bytes : int
        Length of the file.
    """

    header: bytes
    arrays: tuple[NDArray[Any], ...]
    size_bytes: int

    def __iter__(self) -> Iterator[memoryview]:
        yield memoryview(self.header)
        for array in self.arrays:
            yield from _slices(array)


def encode(weights: Weights) -> SafetensorsContent:
    """Lay weights out as a safetensors file; the same weights give the same bytes.

    Tensors lie in falling order of item size, which keeps each of them aligned; the
    header lists them in their own order.

    Parameters
    ----------
    weights : Weights
        Arrays in C order and native byte order are not copied; of others one slice at a
        time is.
    """
    in_file = sorted(weights, key=lambda name: -_stored_item_size(weights[name]))
    starts, end = {}, 0
    for name in in_file:
        starts[name] = end
        end += weights[name].nbytes
    header: dict[str, Any] = {"__metadata__": _metadata_of(weights)}
    for name, array in weights.items():
        code = _CODES.get(_little_endian(array.dtype))
        header[name] = {
            "dtype": code or "U8",
            "shape": list(array.shape) if code else [array.nbytes],
            "data_offsets": [starts[name], starts[name] + array.nbytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    prefix = len(text).to_bytes(LENGTH_BYTES, "little") + text
    arrays = tuple(weights[name] for name in in_file)
    return SafetensorsContent(prefix, arrays, len(prefix) + end)


def decode(buffer: bytes | bytearray | memoryview) -> Weights:
    """Read a safetensors file as views of its buffer.

    Parameters
    ----------
    buffer : bytes-like
        The whole file.

    Raises
    ------
    WeightsFormatError
        For a damaged, truncated or hostile file; the message says what is wrong.
    """
    entries, metadata, start = parse_header(buffer)
    room = memoryview(buffer)

    def bytes_of(entry: Entry) -> memoryview:
        return room[start + entry.begin : start + entry.end]

    return assemble(entries, metadata, bytes_of)


def assemble(
    entries: Iterable[Entry],
    metadata: Mapping[str, str],
    bytes_of: Callable[[Entry], memoryview],
) -> Weights:
    """Make weights of all entries of a file or of some.

    Parameters
    ----------
    entries : iterable of Entry
        In the order that the weights will have.
    metadata : mapping of str to str
        Of the file.
    bytes_of : callable
        Gives the bytes of an entry, which its array is a view of.

    Raises
    ------
    WeightsFormatError
        When what is noted about an array does not fit its bytes.
    """
    layout = layout_notes(metadata)
    arrays = {
        entry.name: _array_of(bytes_of(entry), entry, layout.get(entry.name))
        for entry in entries
    }
    return Weights(
        arrays,
        opaque=is_opaque(metadata),
        cast_back=dtypes_before_widening(metadata),
    )


def original_forms(
    entries: Iterable[Entry], metadata: Mapping[str, str]
) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return dtype and shape that the stored bytes of each array have, in C order.

    Raises
    ------
    WeightsFormatError
        When what is noted about an array does not fit its bytes.
    """
    layout = layout_notes(metadata)
    return {entry.name: _form_of(entry, layout.get(entry.name)) for entry in entries}


def _form_of(entry: Entry, layout: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape of the stored bytes, which neither add nor drop any."""
    if layout is None:
        return entry.dtype, entry.shape
    if not isinstance(layout, dict):
        raise _unfit(entry)
    noted = checked_dtype(layout.get("dtype", entry.dtype.str))
    if "shape" not in layout:
        if _little_endian(noted) != entry.dtype:
            raise _unfit(entry)
        # The note is of byte or memory order, which the file does not have.
        return entry.dtype, entry.shape
    shape = layout["shape"]
    sound = noted.itemsize > 0 and is_possible_shape(shape, noted.itemsize)
    if not sound or prod(shape) * noted.itemsize != entry.end - entry.begin:
        raise _unfit(entry)
    return noted, tuple(shape)


def _unfit(entry: Entry) -> WeightsFormatError:
    return WeightsFormatError(
        f"the layout note of array {entry.name!r} does not fit its bytes"
    )


def _metadata_of(weights: Weights) -> dict[str, str]:
    metadata = {FINGERPRINT: Architecture.of(weights).fingerprint}
    if weights.opaque:
        metadata[OPAQUE] = "true"
    else:
        # transformers opens only files that say so.
        metadata["format"] = "pt"
    layout = {name: noted for name in weights if (noted := _layout_of(weights[name]))}
    if layout:
        metadata[LAYOUT] = _compact(layout)
    if weights.cast_back:
        metadata[CAST_BACK] = _compact(dict(weights.cast_back))
    return metadata


def _layout_of(array: NDArray[Any]) -> dict[str, Any]:
    """Note what the format cannot say of an array; nothing for nearly all arrays."""
    noted: dict[str, Any] = {}
    stored = _little_endian(array.dtype)
    if stored not in _CODES:
        noted = {"dtype": array.dtype.str, "shape": list(array.shape)}
    elif stored != array.dtype:
        noted = {"dtype": array.dtype.str}
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        noted["order"] = "F"
    return noted


def _slices(array: NDArray[Any]) -> Iterator[memoryview]:
    stored = array.dtype
    if _little_endian(array.dtype) in _CODES:
        stored = _little_endian(array.dtype)
    if not array.nbytes:
        return
    if array.flags.c_contiguous and stored == array.dtype:
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, SLICE_BYTES):
            yield flat[start : start + SLICE_BYTES].data
        return
    blocks = np.nditer(
        array,
        flags=["external_loop", "buffered"],
        op_flags=["readonly"],
        op_dtypes=stored,
        order="C",
        casting="equiv",
        buffersize=max(1, SLICE_BYTES // array.itemsize),
    )
    for block in blocks:
        # The iterator fills the same buffer again for the next block.
        yield np.array(block, dtype=stored).view(np.uint8).data


def _array_of(data: memoryview, entry: Entry, layout: Any) -> NDArray[Any]:
    dtype, shape = _form_of(entry, layout)
    if layout is None:
        return np.frombuffer(data, dtype).reshape(shape)
    array = np.frombuffer(data, np.uint8)
    if "shape" in layout:
        # Of items that are longer than those of the file, so that they are aligned.
        array = array.copy()
    array = array.view(dtype).reshape(shape)
    wanted = np.dtype(layout.get("dtype", dtype))
    order = "F" if layout.get("order") == "F" else "C"
    return np.asarray(array, dtype=wanted, order=order)  # type: ignore[call-overload,no-any-return]


def _little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _stored_item_size(array: NDArray[Any]) -> int:
    return array.itemsize if _little_endian(array.dtype) in _CODES else 1


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
