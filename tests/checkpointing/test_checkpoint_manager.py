"""Checkpoints: saved, found, loaded, pruned."""

import math
from dataclasses import replace

import numpy as np
import pytest
from checkpointing.samples import FINISHED, content

from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import (
    ObjectNotFoundError,
    WeightsFormatError,
)
from flwr_registry.retention import BestN, KeepAll, LatestN
from flwr_registry.weights import Weights, save_weights


def test_it_comes_back_as_it_was(storage):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(7))
    loaded = manager.load_latest()
    assert loaded.weights["w"].tolist() == [7, 7, 7]
    assert loaded.content.state_arrays["a0"].tolist() == [7, 8, 9, 10]
    metrics = loaded.content.metrics["train_clientapp"][7]
    assert metrics["loss"] == 0.5
    assert math.isnan(metrics["bad"])
    for name in (
        "state",
        "rounds",
        "provenance",
        "metadata",
        "random_state",
        "strategy",
        "fingerprint",
        "architecture",
        "is_settled",
    ):
        assert getattr(loaded.content, name) == getattr(content(7), name)


def test_the_layout(storage):
    CheckpointManager(storage, "trial").save(content(12))
    names = ["COMMITTED", "manifest.json", "state.safetensors", "weights.safetensors"]
    assert list(storage.list("")) == [
        f"checkpoints/trial/round_000012/{name}" for name in names
    ]


def test_registered_weights_are_not_written_again_nor_removed(storage):
    stored = save_weights(
        storage, "models/m/1.0.0/{digest}.bin", Weights({"w": np.ones(2)})
    )
    manager = CheckpointManager(storage, "trial", keep=LatestN(1))
    for server_round in (1, 2):
        manager.save(content(server_round, weights=stored, state_arrays={}))
    assert list(storage.list("checkpoints")) == [
        "checkpoints/trial/round_000002/COMMITTED",
        "checkpoints/trial/round_000002/manifest.json",
    ]
    loaded = manager.load_round(2)
    assert loaded.weights["w"].tolist() == [1, 1]
    assert loaded.stored_weights == stored
    assert loaded.content.state_arrays == {}


def test_nothing_is_there_at_first(storage):
    manager = CheckpointManager(storage, "trial")
    assert manager.load_latest() is None
    assert manager.rounds() == []
    with pytest.raises(ObjectNotFoundError):
        manager.load_round(1)


@pytest.mark.parametrize("keep_last", [1, 2, 5])
def test_exactly_the_newest_stay(storage, keep_last):
    manager = CheckpointManager(storage, "trial", keep=LatestN(keep_last))
    for server_round in range(1, 8):
        manager.save(content(server_round))
    assert manager.rounds() == list(range(8 - keep_last, 8))


def test_all_stay_when_asked(storage):
    manager = CheckpointManager(storage, "trial", keep=KeepAll())
    for server_round in range(1, 6):
        manager.save(content(server_round))
    assert manager.rounds() == [1, 2, 3, 4, 5]
    assert manager.prune() == []


@pytest.mark.parametrize("keep_last", [0, -1])
def test_keeping_none_is_refused(storage, keep_last):
    with pytest.raises(ValueError, match="1 or more"):
        CheckpointManager(storage, "trial", keep=LatestN(keep_last))


def test_rounds_are_numbers_not_text(storage):
    manager = CheckpointManager(storage, "trial", keep=LatestN(1))
    for server_round in (999_999, 1_000_000):
        manager.save(content(server_round))
    assert manager.rounds() == [1_000_000]
    assert manager.load_latest().content.server_round == 1_000_000


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": object()}, TypeError),
        ({"state": math.nan}, ValueError),
        ({"state_arrays": {"": np.ones(1)}}, WeightsFormatError),
    ],
)
def test_what_cannot_be_saved_costs_no_checkpoint(storage, change, error):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    with pytest.raises(error):
        manager.save(content(1, **change))
    with pytest.raises(error):
        manager.save(content(2, **change))
    assert manager.rounds() == [1]
    assert manager.load_latest().content.state == content(1).state


def test_weights_of_another_checkpoint_outlive_it(storage):
    manager = CheckpointManager(storage, "trial", keep=LatestN(1))
    manager.save(content(1))
    manager.save(content(2, weights=manager.load_latest().stored_weights))
    assert manager.rounds() == [2]
    assert manager.load_round(2).weights["w"].tolist() == [1, 1, 1]


def test_an_interim_one_stands_until_the_next_and_displaces_none(storage):
    manager = CheckpointManager(storage, "trial", keep=LatestN(2))
    for server_round in range(1, 9):
        manager.save(content(server_round), interim=server_round % 3 != 0)
        newest = manager.load_latest()
        assert newest is not None and newest.content.server_round == server_round
    assert manager.rounds() == [3, 6, 8]
    manager.save(content(8))
    manager.save(content(9))
    assert manager.rounds() == [8, 9]


def test_a_pinned_interim_one_stays(storage):
    manager = CheckpointManager(storage, "trial", keep=LatestN(1))
    manager.save(content(1), interim=True)
    manager.pin(1)
    manager.save(content(2))
    manager.save(content(3))
    assert manager.rounds() == [1, 3]


def test_a_failed_round_takes_no_place_among_the_best(storage):
    manager = CheckpointManager(storage, "trial", keep=BestN(1, "accuracy"))
    measured = {1: {"accuracy": 0.9}, 2: {"accuracy": 87.0}, 3: {"accuracy": 0.5}}
    failed = replace(FINISHED, errors=("accuracy is 87",))
    for server_round in (1, 2, 3, 4):
        manager.save(
            content(
                server_round,
                metrics={"evaluate_serverapp": measured},
                rounds={1: FINISHED, 2: failed, 3: FINISHED},
            )
        )
    assert manager.rounds() == [1, 4]
