"""Stored weights as ``.npy`` images, the form in which Flower holds arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from flwr_registry.records import StoredObject
from flwr_registry.storage import SlicedDigest, StorageBackend
from flwr_registry.weights.one_pass import fill, read_in_one_pass
from flwr_registry.weights.safetensors_header import Entry
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
    cast_back : mapping of str to str
        As that of `Weights`.
    """

    images: Mapping[str, bytes]
    opaque: bool
    cast_back: Mapping[str, str] = field(default_factory=dict)


def load_npy_images(storage: StorageBackend, stored: StoredObject) -> NpyImages:
    """Read stored weights in one pass, straight into images, and verify them.

    In memory there is one model and no more.

    Raises
    ------
    ObjectNotFoundError, IntegrityError, StorageError
        As `read_in_one_pass` does.
    """
    found = read_in_one_pass(storage, stored, _read_image)
    if found is None:
        weights = load_weights(storage, stored)
        images = {name: _image_of(array) for name, array in weights.items()}
        return NpyImages(images, weights.opaque, weights.cast_back)
    return NpyImages(found.arrays, found.opaque, found.cast_back)


def _read_image(file: BinaryIO, entry: Entry, digest: SlicedDigest) -> bytes:
    image = io.BytesIO()
    _write_header(image, entry.dtype, entry.shape)
    begin, size = image.tell(), entry.end - entry.begin
    if size:
        image.seek(size - 1, io.SEEK_CUR)
        image.write(b"\0")
        with image.getbuffer() as whole:
            fill(whole[begin:], file, entry, digest)
            # The slices have to be free before the bytes can be taken out.
            digest.drain()
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
