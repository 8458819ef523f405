"""Saving and loading weights on a local disk, against the limits of the machine.

    cd tests && python -m benchmarks.files [--megabytes 64 256 1024]

The limits are taken in the same run, in turns with what they limit: writing the bytes
with one fsync, reading them, and hashing them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.measuring import MIB, PeakMemory, in_turns, show_table

from flwr_registry.records import StoredObject
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.weights import Weights, load_weights, save_weights

SLICE_BYTES = 4 * MIB


def model_of(megabytes: int) -> Weights:
    """Return layers that are as many bytes, none of them alike."""
    generator = np.random.default_rng(0)
    size = megabytes * MIB // 4 // 16
    return Weights({f"layer{n}": generator.random(size, np.float32) for n in range(16)})


def write_raw(path: Path, pieces: list[memoryview]) -> None:
    """Write and flush, and nothing else."""
    with path.open("wb", buffering=0) as file:
        for piece in pieces:
            file.write(piece)
        os.fsync(file.fileno())


def read_raw(path: Path) -> None:
    """Read into fresh memory, and nothing else."""
    room = np.empty(path.stat().st_size, np.uint8).data
    with path.open("rb", buffering=0) as file:
        at = 0
        while count := file.readinto(room[at : at + SLICE_BYTES]):
            at += count


def hash_all(pieces: list[memoryview]) -> None:
    """Hash, and nothing else."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)


def longest_gap(work: Callable[[], object]) -> float:
    """Return the longest time that another thread could not run, in seconds."""
    longest, ended = 0.0, threading.Event()

    def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not ended.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            longest = max(longest, now - last)
            last = now

    thread = threading.Thread(target=tick)
    thread.start()
    work()
    ended.set()
    thread.join()
    return longest


def measure(megabytes: int, folder: Path) -> list[str]:
    """Measure one size; return a row."""
    weights = model_of(megabytes)
    storage = LocalStorageBackend(folder)
    pieces = [
        array.view(np.uint8).data[at : at + SLICE_BYTES]
        for array in weights.values()
        for at in range(0, array.nbytes, SLICE_BYTES)
    ]
    stored: list[StoredObject] = []

    def save() -> None:
        stored.append(save_weights(storage, f"model{len(stored)}", weights))

    def clean() -> None:
        # A version's file never replaces another, which would cost time too.
        for each in stored[:-1]:
            storage.delete(each.key)
        raw.unlink(missing_ok=True)

    raw = folder / "raw"
    save()
    seconds = in_turns(
        {
            "clean": clean,
            "save": save,
            # What was saved is not in the page cache; the disk is no part of reading.
            "warm": lambda: read_raw(folder / stored[-1].key),
            "write": lambda: write_raw(raw, pieces),
            "hash": lambda: hash_all(pieces),
            "load": lambda: load_weights(storage, stored[-1]),
            "read": lambda: read_raw(folder / stored[-1].key),
        },
        # A virtual machine may have to ask its host for memory that it gave back: that
        # is paid for here, not by whoever happens to be next.
        before_each=lambda: np.ones(weights.nbytes, np.uint8),
    )
    with PeakMemory() as saving:
        save()
    with PeakMemory() as loading:
        loaded = load_weights(storage, stored[-1])
    del loaded
    size = stored[0].size_bytes
    return [
        str(megabytes),
        f"{max(seconds['write'], seconds['hash']) / seconds['save']:.2f}",
        f"{saving.peak_bytes / size:.2f}",
        f"{max(seconds['read'], seconds['hash']) / seconds['load']:.2f}",
        f"{loading.peak_bytes / size:.2f}",
        f"{1000 * longest_gap(save):.0f}",
        f"{size / seconds['write'] / 1e9:.2f}",
        f"{size / seconds['read'] / 1e9:.2f}",
        f"{size / seconds['hash'] / 1e9:.2f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 64, 256, 1024])
    rows = []
    for megabytes in parser.parse_args().megabytes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(megabytes, Path(folder)))
    header = ["MiB", "save ÷ limit", "save memory", "load ÷ limit", "load memory"]
    header += ["gap ms", "write GB/s", "read GB/s", "SHA-256 GB/s"]
    show_table(
        "files on a local disk (limit: the slower of disk and hash)", header, rows
    )


if __name__ == "__main__":
    main()
