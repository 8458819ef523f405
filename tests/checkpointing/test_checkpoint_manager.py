"""Checkpoints: whole or not there, verified, pruned."""

import json
import math
from decimal import Decimal
from uuid import uuid4

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    EveryNRounds,
    latest_run_folder,
    new_run_folder,
)
from flwr_registry.checkpointing.checkpoint import (
    described,
    read_manifest,
    write_manifest,
)
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    InvalidNameError,
    ObjectNotFoundError,
    StorageError,
    WeightsFormatError,
)
from flwr_registry.records import StoredObject
from flwr_registry.storage import BytesContent, FsspecStorage, LocalStorage
from flwr_registry.weights import Weights, save_weights


@pytest.fixture(params=["local", "memory"])
def storage(request, tmp_path):
    if request.param == "local":
        return LocalStorage(tmp_path / "root")
    return FsspecStorage(f"memory://{uuid4().hex}")


def content(server_round, **changes):
    fields = {
        "server_round": server_round,
        "model": "digits",
        "version": None,
        "weights": Weights({"w": np.full(3, float(server_round))}),
        "state": {"m_t": {"$array": "a0"}},
        "state_arrays": {"a0": np.arange(4.0) + server_round},
        "metrics": {"train_clientapp": {server_round: {"loss": 0.5, "bad": math.nan}}},
        "versions": {1: "1.0.0"},
        "random_state": {"python": [3, [1, 2], None]},
        "strategy": "flwr.FedAdam",
        "fingerprint": "f" * 64,
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


def test_it_comes_back_as_it_was(storage):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(7))
    loaded = manager.load_latest()
    assert loaded.weights["w"].tolist() == [7, 7, 7]
    assert loaded.content.state_arrays["a0"].tolist() == [7, 8, 9, 10]
    metrics = loaded.content.metrics["train_clientapp"][7]
    assert metrics["loss"] == 0.5
    assert math.isnan(metrics["bad"])
    for name in ("state", "versions", "random_state", "strategy", "fingerprint"):
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
    manager = CheckpointManager(storage, "trial", keep_last=1)
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
    manager = CheckpointManager(storage, "trial", keep_last=keep_last)
    for server_round in range(1, 8):
        manager.save(content(server_round))
    assert manager.rounds() == list(range(8 - keep_last, 8))


def test_all_stay_when_asked(storage):
    manager = CheckpointManager(storage, "trial", keep_last=None)
    for server_round in range(1, 6):
        manager.save(content(server_round))
    assert manager.rounds() == [1, 2, 3, 4, 5]
    assert manager.prune() == []


@pytest.mark.parametrize("keep_last", [0, -1])
def test_keeping_none_is_refused(storage, keep_last):
    with pytest.raises(ValueError, match="1 or more"):
        CheckpointManager(storage, "trial", keep_last=keep_last)


def test_rounds_are_numbers_not_text(storage):
    manager = CheckpointManager(storage, "trial", keep_last=1)
    for server_round in (999_999, 1_000_000):
        manager.save(content(server_round))
    assert manager.rounds() == [1_000_000]
    assert manager.load_latest().content.server_round == 1_000_000


@pytest.mark.parametrize("writes", range(6))
def test_a_crash_at_any_write_leaves_the_one_before(storage, writes):
    CheckpointManager(storage, "trial", keep_last=1).save(content(1))
    crashing = CheckpointManager(Failing(storage, writes), "trial", keep_last=1)
    committed = writes >= 5  # marker away, weights, state, manifest, marker
    try:
        crashing.save(content(2))
    except StorageError:
        assert not committed
    survivor = CheckpointManager(storage, "trial", keep_last=1)
    loaded = survivor.load_latest()
    assert loaded.content.server_round == (2 if committed else 1)
    assert loaded.weights["w"][0] == loaded.content.server_round


@pytest.mark.parametrize("writes", range(5))
def test_a_crash_while_a_round_is_written_again_shows_nothing_half(storage, writes):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    manager.save(content(2))
    with pytest.raises(StorageError):
        CheckpointManager(Failing(storage, writes), "trial").save(
            content(2, weights=Weights({"w": np.full(3, -2.0)}))
        )
    loaded = manager.load_latest()
    assert loaded.weights["w"][0] == loaded.content.server_round


def test_what_a_crash_left_is_swept(storage):
    crashing = CheckpointManager(Failing(storage, 3), "trial")
    with pytest.raises(StorageError):
        crashing.save(content(1))
    assert list(storage.list("checkpoints/trial/round_000001"))
    CheckpointManager(storage, "trial").save(content(2))
    assert not list(storage.list("checkpoints/trial/round_000001"))


def test_a_failed_prune_does_not_fail_the_save(storage, caplog):
    CheckpointManager(storage, "trial", keep_last=1).save(content(1))
    CheckpointManager(Failing(storage, 5), "trial", keep_last=1).save(content(2))
    assert "could not be removed: the connection is gone" in caplog.text
    assert CheckpointManager(storage, "trial").rounds() == [1, 2]


@pytest.mark.parametrize(
    "name", ["COMMITTED", "manifest.json", "state.safetensors", "weights.safetensors"]
)
def test_a_flipped_byte_anywhere_is_found_and_the_one_before_is_taken(
    storage, name, caplog
):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    manager.save(content(2))
    key = f"checkpoints/trial/round_000002/{name}"
    sound = bytes(storage.load(key))
    for position in range(0, len(sound), max(1, len(sound) // 40)):
        damaged = bytearray(sound)
        damaged[position] ^= 0x10
        storage.save(key, BytesContent(bytes(damaged)))
        with pytest.raises((IntegrityError, CheckpointError, ObjectNotFoundError)):
            manager.load_round(2)
    assert manager.load_latest().content.server_round == 1
    assert "round 2 is damaged" in caplog.text


def test_a_missing_part_is_found_and_the_one_before_is_taken(storage):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    manager.save(content(2))
    storage.delete("checkpoints/trial/round_000002/weights.safetensors")
    assert manager.load_latest().content.server_round == 1


def test_a_storage_that_does_not_answer_is_no_damage(storage):
    class Silent(Failing):
        def open(self, key):
            raise StorageError("no answer")

    CheckpointManager(storage, "trial").save(content(1))
    with pytest.raises(StorageError, match="no answer"):
        CheckpointManager(Silent(storage, 9), "trial").load_latest()


def test_a_newer_format_is_refused_not_passed_over(storage):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    manager.save(content(2))
    folder = "checkpoints/trial/round_000002"
    fields = json.loads(bytes(storage.load(f"{folder}/manifest.json")))
    data = json.dumps({**fields, "format": 99}).encode()
    stored = storage.save(f"{folder}/manifest.json", BytesContent(data))
    marker = {"size_bytes": stored.size_bytes, "sha256": stored.sha256}
    storage.save(f"{folder}/COMMITTED", BytesContent(json.dumps(marker).encode()))
    with pytest.raises(CheckpointError, match=r"format 99.*upgrade flwr-registry"):
        manager.load_latest()


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


def test_a_round_below_zero_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        content(-1)


def test_weights_of_another_checkpoint_outlive_it(storage):
    manager = CheckpointManager(storage, "trial", keep_last=1)
    manager.save(content(1))
    manager.save(content(2, weights=manager.load_latest().stored_weights))
    assert manager.rounds() == [2]
    assert manager.load_round(2).weights["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "marker",
    [
        {},
        [],
        7,
        {"size_bytes": -1, "sha256": "a" * 64},
        {"size_bytes": 10**18, "sha256": "a" * 64},
        {"size_bytes": "5", "sha256": "a" * 64},
        {"size_bytes": 5, "sha256": 7},
    ],
)
def test_a_marker_that_makes_no_sense_is_damage(storage, marker):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    manager.save(content(2))
    key = "checkpoints/trial/round_000002/COMMITTED"
    storage.save(key, BytesContent(json.dumps(marker).encode()))
    with pytest.raises(CheckpointError, match="marker"):
        manager.load_round(2)
    assert manager.load_latest().content.server_round == 1


def test_a_folder_under_another_number_is_damage(storage):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    for key in list(storage.list("checkpoints")):
        data = BytesContent(bytes(storage.load(key)))
        storage.save(key.replace("round_000001", "round_000009"), data)
    with pytest.raises(CheckpointError, match="holds round 1"):
        manager.load_round(9)
    assert manager.load_latest().content.server_round == 1


FLOATS = st.one_of(st.floats(), st.floats().map(np.float64))
METRIC = st.one_of(
    FLOATS, st.integers(), st.booleans(), st.none(), st.text(), st.binary()
)


@given(
    st.dictionaries(
        st.text(),
        st.dictionaries(
            st.integers(0, 10**7),
            st.dictionaries(st.text(), METRIC | st.lists(METRIC, max_size=3)),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_metrics_come_back_equal(metrics):
    fields = described(content(1, metrics=metrics))
    read = read_manifest(write_manifest(fields, StoredObject("w", 0, ""), None))
    assert repr(read.content.metrics) == repr(_with_python_floats(metrics))


def _with_python_floats(value):
    if isinstance(value, dict):
        return {key: _with_python_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_python_floats(item) for item in value]
    return float(value) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([0.5]), [0.5]),
        ((1, 2.5), [1, 2.5]),
        (Decimal("1.5"), "1.5"),
        ({"a": np.float32(1)}, {"a": 1}),
        ({"$float": "x"}, {"$float": "x"}),
    ],
)
def test_whatever_is_measured_can_be_saved(storage, value, expected):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1, metrics={"s": {1: {"m": value}}}))
    assert manager.load_latest().content.metrics == {"s": {1: {"m": expected}}}


def test_each_start_of_an_experiment_has_a_folder_of_its_own(storage):
    assert latest_run_folder(storage, "trial") is None
    for expected in ("trial", "trial~2", "trial~3"):
        assert new_run_folder(storage, "trial") == expected
        CheckpointManager(storage, expected).save(content(1))
        assert latest_run_folder(storage, "trial") == expected
    assert new_run_folder(storage, "tria") == "tria"
    with pytest.raises(InvalidNameError):
        new_run_folder(storage, "../trial")


def test_removing_old_starts_does_not_hide_the_newest(storage):
    for run in ("trial", "trial~2", "trial~10", "trial~x", "trial2"):
        storage.save(f"checkpoints/{run}/round_000001/COMMITTED", BytesContent(b"{}"))
    storage.delete("checkpoints/trial/round_000001/COMMITTED")
    assert latest_run_folder(storage, "trial") == "trial~10"
    assert new_run_folder(storage, "trial") == "trial~11"
    storage.save("checkpoints/t.ial~3/x", BytesContent(b""))
    storage.save("checkpoints/txial~4/x", BytesContent(b""))
    assert latest_run_folder(storage, "t.ial") == "t.ial~3"


@pytest.mark.parametrize(
    "run", ["", "../x", "a/b", "trial~", "trial~1", "trial~02", "trial~2~3", "~2"]
)
def test_a_folder_has_the_name_of_a_run(storage, run):
    with pytest.raises(InvalidNameError):
        CheckpointManager(storage, run)


def test_every_n_rounds():
    assert [each for each in range(1, 8) if EveryNRounds(3).due(each)] == [3, 6]
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="give 1 or more"):
            EveryNRounds(wrong)
