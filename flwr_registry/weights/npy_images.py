"""Stored weights as ``.npy`` images, the form in which Flower holds arrays."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import IntegrityError, StorageError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import StorageBackend
from flwr_registry.weights.safetensors_file import (
    SLICE_BYTES,
    has_layout_notes,
    is_opaque,
)
from flwr_registry.weights.safetensors_header import LENGTH_BYTES, Entry, parse_header
from flwr_registry.weights.stored_weights import load_weights

__all__ = ["NpyImages", "load_npy_images"]


@dataclass(frozen=True, slots=True)
class NpyImages:
    """Arrays, each as the bytes of a whole ``.npy`` file, in their order.

    Attributes
    ----------
    images : mapping of str to bytes
        By name.
    opaque : bool
        The single array is a serialized model rather than a tensor.
    """

    images: Mapping[str, bytes]
    opaque: bool


def load_npy_images(storage: StorageBackend, stored: StoredObject) -> NpyImages:
    """Read stored weights in one pass, straight into images, and verify them.

    In memory there is one model and at most an eighth of its largest array.

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
        with storage.open(stored.key) as file:
            found = _read(file, stored)
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error}", key=stored.key) from error
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{place}: {error}", key=stored.key) from error
    if found is None:
        # Byte and memory order are noted beside: rare, and not worth a second way.
        weights = load_weights(storage, stored)
        images = {name: _image_of(array) for name, array in weights.items()}
        return NpyImages(images, weights.opaque)
    images, opaque, sha256 = found
    if sha256 != stored.sha256:
        raise IntegrityError(
            f"{place} is not what was stored: its length or SHA-256 differs from "
            f"{stored.size_bytes} bytes with SHA-256 {stored.sha256[:12]}",
            key=stored.key,
        )
    return NpyImages(images, opaque)


def _read(
    file: BinaryIO, stored: StoredObject
) -> tuple[dict[str, bytes], bool, str] | None:
    """Return images, opaqueness and digest; None where arrays need to be rearranged."""
    if file.seek(0, os.SEEK_END) != stored.size_bytes:
        return {}, False, ""
    file.seek(0)
    digest = hashlib.sha256()
    head = file.read(LENGTH_BYTES)
    head += file.read(min(int.from_bytes(head, "little"), stored.size_bytes))
    try:
        entries, metadata, _ = parse_header(head, stored.size_bytes)
    except WeightsFormatError:
        digest.update(head)
        while piece := file.read(SLICE_BYTES):
            digest.update(piece)
        if digest.hexdigest() != stored.sha256:
            # Damage tells more than what the damage did to the header.
            return {}, False, ""
        raise
    if has_layout_notes(metadata):
        return None
    digest.update(head)
    images = {}
    for entry in sorted(entries, key=lambda each: (each.begin, each.end)):
        images[entry.name] = _read_image(file, entry, digest)
    in_order = {entry.name: images[entry.name] for entry in entries}
    return in_order, is_opaque(metadata), digest.hexdigest()


def _read_image(file: BinaryIO, entry: Entry, digest: Any) -> bytes:
    image = io.BytesIO()
    _write_header(image, entry.dtype, entry.shape)
    missing = entry.end - entry.begin
    view = memoryview(bytearray(min(missing, SLICE_BYTES)))
    while missing:
        count = file.readinto(view[:missing])  # type: ignore[attr-defined]
        if not count:
            raise WeightsFormatError(f"the file ended within array {entry.name!r}")
        digest.update(view[:count])
        image.write(view[:count])
        missing -= count
    return image.getvalue()


def _write_header(
    image: io.BytesIO, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(image, described)


def _image_of(array: NDArray[Any]) -> bytes:
    image = io.BytesIO()
    np.save(image, array, allow_pickle=False)
    return image.getvalue()
