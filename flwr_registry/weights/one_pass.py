"""Stored weights read in one pass, each array into memory of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import IntegrityError, StorageError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import SlicedDigest, StorageBackend
from flwr_registry.weights.file_notes import (
    dtypes_before_widening,
    has_layout_notes,
    is_opaque,
)
from flwr_registry.weights.safetensors_file import SLICE_BYTES
from flwr_registry.weights.safetensors_header import LENGTH_BYTES, Entry, parse_header
from flwr_registry.weights.stored_weights import load_weights

__all__ = [
    "ReadArrays",
    "ReadEntry",
    "fill",
    "load_separate_arrays",
    "read_in_one_pass",
]

Form = TypeVar("Form")
ReadEntry = Callable[[BinaryIO, Entry, SlicedDigest], Form]
"""Reads the bytes of one entry and updates the digest with them."""


@dataclass(frozen=True, slots=True)
class ReadArrays(Generic[Form]):
    """Arrays in the order of the file's header.

    Attributes
    ----------
    arrays : dict
        By name, in the form that they were read in.
    opaque : bool
        The single array is a serialized model rather than a tensor.
    cast_back : mapping of str to str
        As that of `Weights`.
    """

    arrays: dict[str, Form]
    opaque: bool
    cast_back: Mapping[str, str] = field(default_factory=dict)


def load_separate_arrays(
    storage: StorageBackend, stored: StoredObject
) -> dict[str, NDArray[Any]]:
    """Read stored weights as arrays that can be let go of one by one.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `read_in_one_pass` does.
    """
    found = read_in_one_pass(storage, stored, _read_array)
    if found is None:
        return dict(load_weights(storage, stored))
    return found.arrays


def read_in_one_pass(
    storage: StorageBackend, stored: StoredObject, read_entry: ReadEntry[Form]
) -> ReadArrays[Form] | None:
    """Read stored weights, and verify them.

    Returns
    -------
    ReadArrays or None
        None, with nothing verified, where dtype or order of an array are noted beside
        its bytes: rare, and a matter for `load_weights`.

    Raises
    ------
    ObjectNotFoundError
        When the file is gone.
    IntegrityError
        When its length or SHA-256 differs from `stored`, or it holds no weights.
    StorageError
        When it cannot be read.
    """
    place = f"{stored.key} in {storage.url}"
    try:
        with storage.open(stored.key) as file, SlicedDigest() as digest:
            found = _read(file, stored, read_entry, digest)
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error}", key=stored.key) from error
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{place}: {error}", key=stored.key) from error
    if found is None:
        return None
    read, sha256 = found
    if sha256 != stored.sha256:
        raise IntegrityError(
            f"{place} is not what was stored: its length or SHA-256 differs from "
            f"{stored.size_bytes} bytes with SHA-256 {stored.sha256[:12]}",
            key=stored.key,
        )
    return read


def _read(
    file: BinaryIO,
    stored: StoredObject,
    read_entry: ReadEntry[Form],
    digest: SlicedDigest,
) -> tuple[ReadArrays[Form], str] | None:
    """Return what was read and its digest; None where arrays must be rearranged."""
    nothing: ReadArrays[Form] = ReadArrays({}, opaque=False)
    if file.seek(0, os.SEEK_END) != stored.size_bytes:
        return nothing, ""
    file.seek(0)
    head = file.read(LENGTH_BYTES)
    head += file.read(min(int.from_bytes(head, "little"), stored.size_bytes))
    digest.update(head)
    try:
        entries, metadata, _ = parse_header(head, stored.size_bytes)
    except WeightsFormatError:
        while piece := file.read(SLICE_BYTES):
            digest.update(piece)
        if digest.hexdigest() != stored.sha256:
            # Damage tells more than what the damage did to the header.
            return nothing, ""
        raise
    if has_layout_notes(metadata):
        return None
    arrays = {}
    for entry in sorted(entries, key=lambda each: (each.begin, each.end)):
        arrays[entry.name] = read_entry(file, entry, digest)
    in_order = {entry.name: arrays[entry.name] for entry in entries}
    sha256 = digest.hexdigest()
    if sha256 != stored.sha256:
        return nothing, sha256
    cast_back = dtypes_before_widening(metadata)
    return ReadArrays(in_order, is_opaque(metadata), cast_back), sha256


def _read_array(file: BinaryIO, entry: Entry, digest: SlicedDigest) -> NDArray[Any]:
    array = np.empty(entry.shape, entry.dtype)
    fill(array.reshape(-1).view(np.uint8).data, file, entry, digest)
    return array


def fill(room: memoryview, file: BinaryIO, entry: Entry, digest: SlicedDigest) -> None:
    """Read the bytes of an entry into room that is exactly theirs.

    Raises
    ------
    WeightsFormatError
        When the file ends before.
    """
    filled = 0
    while filled < len(room):
        count = file.readinto(room[filled : filled + SLICE_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise WeightsFormatError(f"the file ended within array {entry.name!r}")
        digest.update(room[filled : filled + count])
        filled += count
