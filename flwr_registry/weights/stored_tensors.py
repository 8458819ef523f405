"""Tensors of a stored file, read one block at a time and never all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import StorageError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import StorageBackend
from flwr_registry.weights.safetensors_file import is_opaque, original_forms
from flwr_registry.weights.safetensors_header import read_header
from flwr_registry.weights.stored_weights import verify_stored

__all__ = ["StoredTensor", "StoredTensors", "open_tensors"]

_BLOCK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor in a file.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the stored bytes.
    shape : tuple of int
        In C order.
    begin, end : int
        Where its bytes lie in the file.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


class StoredTensors(Mapping[str, StoredTensor]):
    """The tensors of one open file, in the order of its header.

    Parameters
    ----------
    file : file
        Read from its beginning; the caller closes it.
    size_bytes : int
        Its length.

    Raises
    ------
    WeightsFormatError
        When it is no sound safetensors file.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        entries, metadata, start = read_header(file, size_bytes)
        forms = original_forms(entries, metadata)
        self._file = file
        self._opaque = is_opaque(metadata)
        self._tensors = {
            each.name: StoredTensor(
                each.name, *forms[each.name], start + each.begin, start + each.end
            )
            for each in entries
        }

    def __getitem__(self, name: str) -> StoredTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def opaque(self) -> bool:
        """Whether the content is a serialized model rather than tensors."""
        return self._opaque

    def blocks(self, name: str) -> Iterator[NDArray[Any]]:
        """Read a tensor as flat blocks in C order, each valid until the next one.

        Tensors of one dtype and shape have blocks of the same lengths.
        """
        tensor = self._tensors[name]
        size = _BLOCK_BYTES // max(1, tensor.dtype.itemsize) * tensor.dtype.itemsize
        buffer = memoryview(bytearray(min(size, tensor.end - tensor.begin)))
        for begin in range(tensor.begin, tensor.end, max(1, size)):
            block = buffer[: min(size, tensor.end - begin)]
            # The file may be shared by several walks.
            self._file.seek(begin)
            self._fill(block, name)
            yield np.frombuffer(block, tensor.dtype)

    def _fill(self, block: memoryview, name: str) -> None:
        filled = 0
        while filled < len(block):
            count = self._file.readinto(block[filled:])  # type: ignore[attr-defined]
            if not count:
                raise WeightsFormatError(f"the file ended within array {name!r}")
            filled += count


@contextmanager
def open_tensors(
    storage: StorageBackend, stored: StoredObject
) -> Iterator[StoredTensors]:
    """Verify a file, going through it once, and open its tensors.

    Raises
    ------
    ObjectNotFoundError
        When the file is gone.
    IntegrityError
        When its length or SHA-256 differs from `stored`, or it holds no weights.
    StorageError
        When it cannot be read.
    """
    verify_stored(storage, stored)
    place = f"{stored.key} in {storage.url}"
    try:
        with storage.open(stored.key) as file:
            yield StoredTensors(file, stored.size_bytes)
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{place}: {error}", key=stored.key) from error
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error}", key=stored.key) from error
