"""State dicts in torch files: read by a process that may not take or make too much.

A torch file says what to build out of its bytes. That is done in another process, with
bounds on its memory and time, which hands back arrays as a safetensors file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flwr_registry.errors import WeightsFormatError
from flwr_registry.extras import how_to_install
from flwr_registry.weights.file_growth import check_growth, most_bytes_of
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_file import decode, encode
from flwr_registry.weights.safetensors_header import MAX_HEADER_BYTES

__all__ = ["answer", "read_torch_file", "state_of"]

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flwr_registry.weights.torch_state_files import answer; answer()"
)
_LENGTH_BYTES = 8
_MAX_MESSAGE_BYTES = 8 * 1024
_WEIGHTS, _REFUSAL = b"w", b"r"
_START_SECONDS = 120
_BYTES_PER_SECOND = 8 * 1024 * 1024
_WORKING_BYTES = 512 * 1024 * 1024
_SAVE = "save the state dict alone: torch.save(model.state_dict(), path)"


def read_torch_file(data: memoryview, path: Path | None) -> Weights:
    """Read a state dict in another process.

    Parameters
    ----------
    data : memoryview
        The file.
    path : Path or None
        Where it lies, if anywhere.

    Raises
    ------
    WeightsFormatError
        When it is no state dict, or takes more memory or time than its length allows.
    """
    if find_spec("torch") is None:
        raise WeightsFormatError(
            f"it is a torch file, and torch is not installed: {how_to_install('torch')}"
        )
    with _as_file(data, path) as file, _child(file, len(data)) as process:
        kind, content = _received(process, len(data))
    if kind == _WEIGHTS:
        return decode(content)
    if kind == _REFUSAL:
        raise WeightsFormatError(bytes(content).decode(errors="replace"))
    raise WeightsFormatError(
        "the process that read it ended without an answer: it takes more memory or "
        f"time than a file of {len(data):,} bytes may. If it is sound, {_SAVE}"
    )


@contextmanager
def _as_file(data: memoryview, path: Path | None) -> Iterator[BinaryIO]:
    if path is not None:
        with path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        copy.write(data)
        copy.seek(0)
        yield copy


@contextmanager
def _child(file: BinaryIO, size_bytes: int) -> Iterator[subprocess.Popen[bytes]]:
    places = json.dumps([place for place in sys.path if isinstance(place, str)])
    # Threads of its own would only take address space, which is bounded.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, places],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        seconds = _START_SECONDS + size_bytes / _BYTES_PER_SECOND
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def _received(
    process: subprocess.Popen[bytes], size_bytes: int
) -> tuple[bytes, memoryview]:
    """Return what the process answers, nothing when it is not whole or too long."""
    assert process.stdout is not None
    nothing = b"", memoryview(b"")
    kind = process.stdout.read(1)
    length = int.from_bytes(process.stdout.read(_LENGTH_BYTES), "little")
    most = _MAX_MESSAGE_BYTES
    if kind == _WEIGHTS:
        most = most_bytes_of(size_bytes) + MAX_HEADER_BYTES
    if length > most:
        return nothing
    room = np.empty(length, np.uint8).data
    filled = 0
    while filled < length:
        count = process.stdout.readinto(room[filled:])  # type: ignore[attr-defined]
        if not count:
            return nothing
        filled += count
    return kind, room


def answer() -> None:
    """Read the state dict on standard input, and write it as `read_torch_file` wants.

    This is the whole life of the other process.
    """
    with os.fdopen(os.dup(1), "wb") as out:
        # What libraries print would be taken for the answer.
        os.dup2(2, 1)
        file = sys.stdin.buffer
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            _import_torch()
            _bound_this_process(size_bytes)
            content = encode(state_of(file, size_bytes))
        except WeightsFormatError as error:
            message = str(error).encode(errors="replace")[:_MAX_MESSAGE_BYTES]
            out.write(_REFUSAL + len(message).to_bytes(_LENGTH_BYTES, "little"))
            out.write(message)
            return
        out.write(_WEIGHTS + content.size_bytes.to_bytes(_LENGTH_BYTES, "little"))
        for piece in content:
            out.write(piece)


def _import_torch() -> None:
    try:
        import torch
    except ImportError as error:
        raise WeightsFormatError(f"torch cannot be imported: {error}") from error
    torch.set_num_threads(1)


def _bound_this_process(size_bytes: int) -> None:
    """Let it take memory for the file and its tensors, and write no file."""
    try:
        import resource
    except ImportError:
        # Windows has no such bounds; growth and time are bounded all the same.
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    most = pages * resource.getpagesize() + 2 * size_bytes + _WORKING_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def state_of(file: BinaryIO, size_bytes: int) -> Weights:
    """Read a state dict in this process, with ``weights_only=True``.

    Raises
    ------
    WeightsFormatError
        When it is none, or its tensors are out of proportion to the file.
    """
    import torch

    try:
        loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises whatever comes; nothing of a damaged or hostile file was run.
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise WeightsFormatError(
                f"it wants more memory than a file of {size_bytes:,} bytes may"
            ) from error
        raise WeightsFormatError(
            f"torch refuses it with weights_only=True; {_SAVE}"
        ) from error
    if not isinstance(loaded, dict) or not all(map(_is_plain, loaded.values())):
        raise WeightsFormatError(f"it holds no state dict of dense tensors; {_SAVE}")
    made = sum(each.numel() * each.element_size() for each in loaded.values())
    check_growth(made, size_bytes)
    try:
        return Weights.of(loaded)
    except WeightsFormatError:
        raise
    except Exception as error:
        raise WeightsFormatError(f"a tensor of it is no array: {error}") from error


def _is_plain(value: Any) -> bool:
    """Tell whether a value is a tensor whose elements are all there."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )
