"""The model over a large set, by Ray Data: read, predicted and written in parts."""

from pathlib import Path
from typing import Any

import numpy as np
import ray.data
import torch
from numpy.typing import NDArray
from pyarrow import parquet

from flwr_registry import Predictor
from scale_out.network import FEATURES

Columns = dict[str, NDArray[Any]]


class Scorer:
    """One process with the model, which gets batch after batch."""

    def __init__(self, reference: str, registry: str, storage: str) -> None:
        torch.set_num_threads(1)
        self._predictor = Predictor(reference, registry=registry, storage=storage)

    def __call__(self, batch: Columns) -> Columns:
        """Predict for a batch, and keep which version did."""
        scores = self._predictor.predict(batch["features"])
        version = self._predictor.version.version
        rows = len(scores)
        return {
            "row": batch["row"],
            "label": scores.argmax(axis=1),
            "version": np.full(rows, version),
        }


def example_rows(batch: Columns) -> Columns:
    """Make features of row numbers, in the place of a set of your own."""
    rows = batch["id"].astype(np.float32)
    features = np.sin(rows[:, None] * np.arange(1, FEATURES + 1, dtype=np.float32))
    return {"row": batch["id"], "features": features}


def predict_all(
    rows: int, target: Path, reference: str, registry: str, storage: str
) -> int:
    """Predict for a set, and write Parquet files; return how many rows they have.

    No part of the way holds the whole set: `ray.data.read_parquet` reads yours.
    """
    wanted = {"reference": reference, "registry": registry, "storage": storage}
    examples = ray.data.range(rows).map_batches(example_rows)
    scored = examples.map_batches(
        Scorer,
        fn_constructor_kwargs=wanted,
        compute=ray.data.ActorPoolStrategy(size=2),
        batch_size=1024,
    )
    scored.write_parquet(str(target))
    files = target.glob("*.parquet")
    return sum(parquet.read_metadata(each).num_rows for each in files)
