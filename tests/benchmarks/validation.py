"""Finding values that are not finite, against reading the same memory.

    cd tests && python -m benchmarks.validation [--megabytes 64 256 1024]

Reading is numpy's fastest reduction of the same bytes as 64-bit integers, in one thread
as training leaves it.
"""

from __future__ import annotations

import argparse

import numpy as np
from benchmarks.measuring import MIB, in_turns, show_table

from flwr_registry.validation import Candidate, ModelValidator
from flwr_registry.weights import Weights

LAYERS = 16


def measure(megabytes: int, dtype: str) -> list[str]:
    """Measure one size; return a row."""
    generator = np.random.default_rng(0)
    values = generator.random(megabytes * MIB // np.dtype(dtype).itemsize, np.float32)
    model = values.astype(dtype)
    weights = Weights(
        {f"layer{n}": layer for n, layer in enumerate(np.split(model, LAYERS))}
    )
    validator = ModelValidator(reference=weights)
    words = model.view(np.int64)
    seconds = in_turns(
        {
            "validate": lambda: validator.validate(Candidate(weights)),
            "max": words.max,
            "or": lambda: np.bitwise_or.reduce(words),
            "np.isfinite": lambda: np.isfinite(model).all(),
        }
    )
    reading = min(seconds["max"], seconds["or"])
    return [
        str(megabytes),
        dtype,
        f"{reading / seconds['validate']:.2f}",
        f"{seconds['np.isfinite'] / seconds['validate']:.1f}",
        f"{1000 * seconds['validate']:.1f}",
        f"{model.nbytes / reading / 1e9:.1f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, nargs="+", default=[64, 256, 1024])
    rows = [
        measure(megabytes, dtype)
        for megabytes in parser.parse_args().megabytes
        for dtype in ("float32", "float64", "float16")
    ]
    header = ["MiB", "dtype", "speed ÷ reading", "÷ np.isfinite", "ms", "reading GB/s"]
    show_table("validation of a model", header, rows)


if __name__ == "__main__":
    main()
