"""A checkpoint to save, and a storage to lose."""

import math

import numpy as np

from flwr_registry.checkpointing import CheckpointContent, FinishedRound
from flwr_registry.errors import StorageError
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    RoundStatus,
    RunProvenance,
    StoredObject,
    VersionMetadata,
)
from flwr_registry.weights import Architecture, Weights

FINISHED = FinishedRound(
    gave_model=True,
    status=RoundStatus.REGISTERED,
    version="1.0.0",
    weights=StoredObject("models/digits/1.0.0/0123.safetensors", 7, "ab" * 32),
    fingerprint="f" * 64,
    contributions=(
        Contribution("7", num_examples=3.0, weight_share=1.0),
        Contribution(
            "8",
            status=ContributionStatus.ERROR,
            error_code=5,
            error_reason="out of memory",
        ),
    ),
    privacy=(0.5, 1e-5),
)


def content(server_round, **changes):
    fields = {
        "server_round": server_round,
        "model": "digits",
        "version": None,
        "weights": Weights({"w": np.full(3, float(server_round))}),
        "state": {"m_t": {"$array": "a0"}},
        "state_arrays": {"a0": np.arange(4.0) + server_round},
        "metrics": {"train_clientapp": {server_round: {"loss": 0.5, "bad": math.nan}}},
        "rounds": {1: FINISHED},
        "random_state": {"python": [3, [1, 2], None]},
        "strategy": "flwr.FedAdam",
        "fingerprint": "f" * 64,
        "architecture": Architecture.of(Weights({"w": np.zeros(3, np.float32)})),
        "is_settled": True,
        "provenance": RunProvenance("trial", "digits", strategy_config={"eta": 0.1}),
        "metadata": VersionMetadata(tags={"site": "north"}),
    }
    return CheckpointContent(**{**fields, **changes})


class Failing:
    """A storage that fails at its nth write, and at each after it."""

    def __init__(self, storage, writes):
        self._storage, self._writes = storage, writes

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def _count(self):
        self._writes -= 1
        if self._writes < 0:
            raise StorageError("the connection is gone")

    def save(self, key, content):
        self._count()
        return self._storage.save(key, content)

    def delete(self, key):
        self._count()
        return self._storage.delete(key)
