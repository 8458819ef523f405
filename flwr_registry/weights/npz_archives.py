"""Arrays of numpy's ``.npz`` archives, each checked before memory is taken for it."""

from __future__ import annotations

import zipfile
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights.file_growth import check_growth, is_possible_shape

__all__ = ["check_entries", "read_arrays"]

_SUFFIX = ".npy"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_SLICE_BYTES = 256 * 1024


def check_entries(archive: zipfile.ZipFile, file_bytes: int) -> None:
    """See that what an archive holds is in proportion to its file, by its directory.

    Reading an entry never gives more than the directory says.

    Raises
    ------
    WeightsFormatError
        When it is not, or when several entries share the same bytes of the file.
    """
    entries = archive.infolist()
    if any(each.compress_type not in _METHODS for each in entries):
        # Some of the others take memory by what the file says, not by what it has.
        raise WeightsFormatError("the archive is neither stored nor deflated")
    if sum(each.compress_size for each in entries) > file_bytes:
        raise WeightsFormatError("the entries of the archive overlap")
    check_growth(sum(each.file_size for each in entries), file_bytes)


def read_arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """Read the arrays of a checked archive; nothing is unpickled.

    Raises
    ------
    WeightsFormatError
        When an entry is no array, or has an impossible one.
    Exception
        Whatever zlib, numpy and the tokenizer raise of damaged entries.
    """
    arrays = {}
    for entry in archive.infolist():
        with archive.open(entry) as file:
            arrays[entry.filename.removesuffix(_SUFFIX)] = _array_of(file, entry)
    return arrays


def _array_of(file: IO[bytes], entry: zipfile.ZipInfo) -> NDArray[Any]:
    name = f"entry {entry.filename!r} of the .npz archive"
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise WeightsFormatError(f"{name} has a format of numpy that no weights need")
    shape, is_fortran, dtype = _HEADERS[version](file)
    size = entry.file_size - file.tell()
    sound = is_possible_shape(shape, dtype.itemsize) and not dtype.hasobject
    if not sound or prod(shape) * dtype.itemsize != size:
        raise WeightsFormatError(
            f"{name} claims {dtype} of shape {str(shape)[:80]}, which does not fit "
            f"its {size} bytes"
        )
    room = np.empty(size, np.uint8)
    _fill(room.data, file)
    return room.view(dtype).reshape(shape, order="F" if is_fortran else "C")


def _fill(room: memoryview, file: IO[bytes]) -> None:
    filled = 0
    while filled < len(room):
        count = file.readinto(room[filled : filled + _SLICE_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the archive ended within an array")
        filled += count
    # Only at the end of an entry is its checksum compared.
    file.read(1)
