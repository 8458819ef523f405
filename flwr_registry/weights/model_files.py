"""Weights in files of other programs, recognised by their content."""

from __future__ import annotations

import io
import json
import mmap
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flwr_registry.errors import WeightsFormatError
from flwr_registry.storage import Content
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.npz_archives import check_entries, read_arrays
from flwr_registry.weights.safetensors_file import SLICE_BYTES, decode, encode
from flwr_registry.weights.safetensors_header import LENGTH_BYTES
from flwr_registry.weights.torch_state_files import read_torch_file

__all__ = ["ModelFile", "read_model_file"]

_FORMS = "a safetensors file, a torch state dict, an .npz archive or an XGBoost model"

_UBJSON = b"{L" + (7).to_bytes(8) + b"learner"
"""How XGBoost's binary form begins: an object whose first key is ``learner``."""

Source = bytes | bytearray | memoryview | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a file holds, and what of it is to be stored.

    Attributes
    ----------
    weights : Weights
        Views of the file where it is a safetensors file.
    content : Content
        Such a file as it is, byte for byte; of others the weights laid out as one.
    """

    weights: Weights
    content: Content


def read_model_file(source: Source) -> ModelFile:
    """Read weights from bytes, or from the file at a path.

    Nothing is ever unpickled: torch files are read with ``weights_only=True`` in a
    process of their own, archives without objects. What a file makes is bounded by what
    it has, see `check_growth`.

    Raises
    ------
    WeightsFormatError
        For a file that is damaged, of another kind, or out of proportion.
    OSError
        When the file cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        try:
            return _recognised(_mapped(path), path)
        except WeightsFormatError as error:
            raise WeightsFormatError(f"{path}: {error}") from error
    return _recognised(memoryview(source), None)


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            raise WeightsFormatError("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _recognised(data: memoryview, path: Path | None) -> ModelFile:
    start = bytes(data[:16])
    if start.startswith(b"PK"):
        weights = _from_archive(data, path)
    elif data[: len(_UBJSON)] == _UBJSON:
        weights = _opaque(data)
    elif start[:1] == b"{" and not _is_header_length(data):
        weights = _from_json(data)
    elif start[8:9] == b"{":
        return ModelFile(decode(data), _FileContent(data))
    elif start.startswith((b"\x80\x02", b"\x80\x04")):
        weights = read_torch_file(data, path)
    else:
        raise WeightsFormatError(f"it is none of {_FORMS}")
    return ModelFile(weights, encode(weights))


@dataclass(frozen=True, slots=True)
class _FileContent:
    """A file's bytes, to be stored as they are."""

    data: memoryview

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return len(self.data)

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self.data), SLICE_BYTES):
            yield self.data[start : start + SLICE_BYTES]


class _ViewReader(io.RawIOBase):
    """A file over bytes that are in memory or mapped; nothing is copied ahead."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}
        self._position = max(0, starts.get(whence, 0) + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _file_of(data: memoryview) -> io.BufferedReader:
    return io.BufferedReader(_ViewReader(data))


def _from_archive(data: memoryview, path: Path | None) -> Weights:
    """Read a zip: numpy's, or torch's."""
    try:
        with zipfile.ZipFile(_file_of(data)) as archive:
            check_entries(archive, len(data))
            names = archive.namelist()
            if not any(name.endswith("data.pkl") for name in names):
                return Weights(read_arrays(archive))
    except WeightsFormatError:
        raise
    except Exception as error:
        # Of damage come errors of many kinds: zlib's, numpy's, the tokenizer's.
        raise WeightsFormatError(f"it is no sound .npz archive: {error}") from error
    return read_torch_file(data, path)


def _from_json(data: memoryview) -> Weights:
    """Keep an XGBoost model as the bytes that it is."""
    try:
        model = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise WeightsFormatError("it is damaged JSON") from error
    if not isinstance(model, dict) or "learner" not in model:
        raise WeightsFormatError(f"it is JSON, but none of {_FORMS}")
    return _opaque(data)


def _opaque(data: memoryview) -> Weights:
    return Weights({"0": np.frombuffer(data, np.uint8)}, opaque=True)


def _is_header_length(data: memoryview) -> bool:
    """Tell whether the first bytes are the length of a safetensors header."""
    return int.from_bytes(data[:LENGTH_BYTES], "little") <= len(data)
