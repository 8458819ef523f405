"""What it costs to resume, against reading and hashing the checkpoint's bytes.

    cd tests && python -m benchmarks.resume [--megabytes 1024]

The checkpointed run is resumed in a fresh process, where all of its rounds are done:
what is timed is opening, verifying, replaying and handing back the model.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import (
    MIB,
    PeakMemory,
    in_own_process,
    seconds_of,
    show_table,
)
from federation.clients import Answer
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import FedAvg, FedAvgM, Result

from flwr_registry import RegistryStrategy

ROUNDS = 2
SLICE_BYTES = 8 * MIB
STRATEGIES = {"FedAvg": FedAvg, "FedAvgM": FedAvgM}


class Echo:
    """Nodes that train nothing."""

    def train(
        self, node_id: int, server_round: int, arrays: Any, config: Any
    ) -> Answer:
        """Give back what came."""
        return Answer(1, {"loss": 1.0}, arrays)

    def evaluate(
        self, node_id: int, server_round: int, arrays: Any, config: Any
    ) -> Answer:
        """Measure nothing."""
        return Answer(1, {"loss": 1.0})


def initial(megabytes: int) -> ArrayRecord:
    """Return a model of that size, as an app brings it."""
    layer = np.zeros(megabytes * MIB // 4 // 16, np.float32)
    return to_record({f"layer{number}": layer for number in range(16)})


def start(strategy: str, folder: str, arrays: ArrayRecord, **options: Any) -> Result:
    """Run a federation of two nodes."""
    wrapped = RegistryStrategy(
        STRATEGIES[strategy](min_available_nodes=2, min_train_nodes=2),
        registry=f"{folder}/registry.db",
        run="trial",
        model="large",
        on_error="raise",
        **options,
    )
    return wrapped.start(
        grid=InProcessGrid(Echo(), node_ids=(1, 2)),
        initial_arrays=arrays,
        num_rounds=ROUNDS,
    )


def trained(strategy: str, folder: str, megabytes: int) -> None:
    """Make a run to resume."""
    logging.disable()
    start(strategy, folder, initial(megabytes))


def resumed(strategy: str, folder: str, megabytes: int) -> dict[str, float]:
    """Resume it, and measure."""
    logging.disable()
    arrays = initial(megabytes)
    with PeakMemory() as memory:
        seconds = seconds_of(lambda: start(strategy, folder, arrays, resume=True))
    return {"seconds": seconds, "peak_bytes": memory.peak_bytes}


def checkpointed_files(folder: Path) -> list[Path]:
    """Return the files that a resume needs: the last model and the last state."""
    models = sorted(folder.glob("models/large/*/*.safetensors"))
    return [models[-1], *folder.glob(f"checkpoints/trial/round_{ROUNDS:06d}/*.safe*")]


def read(files: list[Path], *, hashed: bool) -> float:
    """Time reading files into memory, as one pass over slices."""

    def work() -> None:
        for path in files:
            size = path.stat().st_size
            buffer = memoryview(np.empty(size, np.uint8))
            digest = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                at = 0
                while count := file.readinto(buffer[at : at + SLICE_BYTES]):
                    if hashed:
                        digest.update(buffer[at : at + count])
                    at += count

    return seconds_of(work)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    rows = []
    for strategy in STRATEGIES:
        with tempfile.TemporaryDirectory() as folder:
            in_own_process("resume", "trained", strategy, folder, asked.megabytes)
            files = checkpointed_files(Path(folder))
            size = sum(path.stat().st_size for path in files)
            found, raw, hashed = [], [], []
            for _ in range(asked.repeats):
                found.append(
                    in_own_process(
                        "resume", "resumed", strategy, folder, asked.megabytes
                    )
                )
                raw.append(read(files, hashed=False))
                hashed.append(read(files, hashed=True))
            seconds = statistics.median(each["seconds"] for each in found)
            peak = statistics.median(each["peak_bytes"] for each in found)
            rows.append(
                (
                    strategy,
                    f"{size / MIB:.0f}",
                    f"{seconds:.2f}",
                    f"{seconds / statistics.median(raw):.2f}",
                    f"{seconds / statistics.median(hashed):.2f}",
                    f"{peak / size:.2f}",
                )
            )
    header = ("strategy", "MiB", "seconds", "÷ read", "÷ read+SHA-256", "peak ÷ bytes")
    show_table("resume", header, rows)


if __name__ == "__main__":
    main()
