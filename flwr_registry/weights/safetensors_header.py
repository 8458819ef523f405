"""The header of a safetensors file, read with distrust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights.file_growth import is_possible_shape
from flwr_registry.weights.named_arrays import check_tensor_name

__all__ = [
    "DTYPES",
    "HEADER_ALIGNMENT",
    "LENGTH_BYTES",
    "MAX_HEADER_BYTES",
    "Entry",
    "parse_header",
    "read_header",
]

LENGTH_BYTES = 8
HEADER_ALIGNMENT = 8
MAX_HEADER_BYTES = 16 * 1024 * 1024

DTYPES = {
    code: np.dtype(text)
    for code, text in {
        "BOOL": "?",
        "U8": "u1",
        "I8": "i1",
        "U16": "<u2",
        "I16": "<i2",
        "F16": "<f2",
        "U32": "<u4",
        "I32": "<i4",
        "F32": "<f4",
        "U64": "<u8",
        "I64": "<i8",
        "F64": "<f8",
        "C64": "<c8",
    }.items()
}
"""The format's dtypes that numpy has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of the file; `begin` and `end` count from the end of the header."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(
    file: BinaryIO, size_bytes: int
) -> tuple[list[Entry], Mapping[str, str], int]:
    """Read the header alone, as `parse_header` does.

    Parameters
    ----------
    file : file
        At its beginning.
    size_bytes : int
        Length of the whole file.
    """
    beginning = file.read(LENGTH_BYTES)
    length = int.from_bytes(beginning, "little")
    beginning += file.read(min(length, MAX_HEADER_BYTES, size_bytes))
    return parse_header(beginning, size_bytes)


def parse_header(
    buffer: bytes | bytearray | memoryview, size_bytes: int | None = None
) -> tuple[list[Entry], Mapping[str, str], int]:
    """Check and read the header of a file.

    Parameters
    ----------
    buffer : bytes-like
        The whole file, or no more than its header.
    size_bytes : int, optional
        Length of the whole file; by default that of `buffer`.

    Returns
    -------
    entries : list of Entry
        In the header's order; together they cover the data without gap or overlap.
    metadata : mapping of str to str
        The file's free metadata.
    start : int
        Where the data begins.

    Raises
    ------
    WeightsFormatError
        When anything is unsound.
    """
    size = len(buffer) if size_bytes is None else size_bytes
    if size < LENGTH_BYTES:
        raise WeightsFormatError(f"a file of {size} bytes is no safetensors file")
    length = int.from_bytes(buffer[:LENGTH_BYTES], "little")
    if length > min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
        raise WeightsFormatError(
            f"the header claims {length} bytes: the file has {size}, and a header may "
            f"have {MAX_HEADER_BYTES}"
        )
    start = LENGTH_BYTES + length
    header = _parsed(bytes(buffer[LENGTH_BYTES:start]))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise WeightsFormatError("the header's metadata is not text under names")
    entries = [_entry(name, described) for name, described in header.items()]
    _check_cover(entries, size - start)
    return entries, metadata, start


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_duplicates)
    except WeightsFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise WeightsFormatError("the header is not sound JSON") from error
    if not isinstance(header, dict):
        raise WeightsFormatError("the header is no JSON object")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WeightsFormatError("the header names something twice")
    return found


def _entry(name: str, described: Any) -> Entry:
    check_tensor_name(name)
    match described:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]}:
            pass
        case _:
            raise WeightsFormatError(f"the header's entry of {name!r} is malformed")
    if code not in DTYPES:
        raise WeightsFormatError(
            f"array {name!r} has dtype {code[:20]}, which numpy lacks; convert it to "
            "F32 or F16 first"
        )
    dtype = DTYPES[code]
    is_placed = _is_count(begin) and _is_count(end)
    if not is_placed or not is_possible_shape(shape, dtype.itemsize):
        raise WeightsFormatError(f"array {name!r} has an impossible shape or place")
    if end - begin != prod(shape) * dtype.itemsize:
        raise WeightsFormatError(
            f"array {name!r} of shape {shape} does not fill its {end - begin} bytes"
        )
    return Entry(name, dtype, tuple(shape), begin, end)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_cover(entries: list[Entry], data_bytes: int) -> None:
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            raise WeightsFormatError(
                f"array {entry.name!r} begins at {entry.begin}, not at {position}: "
                "arrays overlap or leave a gap"
            )
        position = entry.end
    if position != data_bytes:
        raise WeightsFormatError(
            f"the arrays need {position} bytes, the file holds {data_bytes}"
        )
