"""Tensors of a stored file, read one block at a time and never all at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import (
    StorageError,
    TensorNotFoundError,
    WeightsFormatError,
    did_you_mean,
)
from flwr_registry.records import StoredObject
from flwr_registry.storage import StorageBackend
from flwr_registry.weights.file_notes import is_opaque
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_file import assemble, original_forms
from flwr_registry.weights.safetensors_header import Entry, read_header
from flwr_registry.weights.stored_weights import check_found, verify_stored

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
        self._entries = {each.name: each for each in entries}
        self._metadata = metadata
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
        item_bytes = max(1, tensor.dtype.itemsize)
        size = max(1, _BLOCK_BYTES // item_bytes) * item_bytes
        buffer = memoryview(bytearray(min(size, tensor.end - tensor.begin)))
        for begin in range(tensor.begin, tensor.end, size):
            block = buffer[: min(size, tensor.end - begin)]
            # The file may be shared by several walks.
            self._file.seek(begin)
            self._fill(block, name)
            yield np.frombuffer(block, tensor.dtype)

    def select(self, names: Iterable[str]) -> Weights:
        """Read some tensors, and nothing of the others.

        Raises
        ------
        TensorNotFoundError
            For a name that is not in the file; the message names what comes near.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in self:
                near = did_you_mean(name, list(self))
                raise TensorNotFoundError(f"there is no tensor {name!r}; {near}")
        chosen = [self._entries[name] for name in wanted]
        return assemble(chosen, self._metadata, self._bytes_of)

    def _bytes_of(self, entry: Entry) -> memoryview:
        room = np.empty(entry.end - entry.begin, np.uint8).data
        self._file.seek(self._tensors[entry.name].begin)
        self._fill(room, entry.name)
        return room

    def _fill(self, block: memoryview, name: str) -> None:
        filled = 0
        while filled < len(block):
            count = self._file.readinto(block[filled:])  # type: ignore[attr-defined]
            if not count:
                raise WeightsFormatError(f"the file ended within array {name!r}")
            filled += count


@contextmanager
def open_tensors(
    storage: StorageBackend, stored: StoredObject, *, verify: bool = True
) -> Iterator[StoredTensors]:
    """Verify a file, going through it once, and open its tensors.

    Parameters
    ----------
    verify : bool
        ``False`` reads what is asked for and no more, and compares the length alone.

    Raises
    ------
    ObjectNotFoundError
        When the file is gone.
    IntegrityError
        When its length or SHA-256 differs from `stored`, or it holds no weights.
    StorageError
        When it cannot be read.
    """
    if verify:
        verify_stored(storage, stored)
    place = f"{stored.key} in {storage.url}"
    try:
        with storage.open(stored.key) as file:
            check_found(storage, stored, file.seek(0, os.SEEK_END))
            file.seek(0)
            yield StoredTensors(file, stored.size_bytes)
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{place}: {error}", key=stored.key) from error
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error}", key=stored.key) from error
