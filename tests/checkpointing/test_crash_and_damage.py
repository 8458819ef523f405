"""Whatever breaks, the checkpoint before is there."""

import json

import numpy as np
import pytest
from checkpointing.samples import Failing, content

from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    ObjectNotFoundError,
    StorageError,
)
from flwr_registry.retention import LatestN
from flwr_registry.storage import BytesContent
from flwr_registry.weights import Weights


@pytest.mark.parametrize("writes", range(7))
def test_a_crash_at_any_write_leaves_the_one_before(storage, writes):
    CheckpointManager(storage, "trial", keep=LatestN(1)).save(content(1))
    crashing = CheckpointManager(Failing(storage, writes), "trial", keep=LatestN(1))
    committed = writes >= 6  # two marks away, weights, state, manifest, marker
    try:
        crashing.save(content(2))
    except StorageError:
        assert not committed
    survivor = CheckpointManager(storage, "trial", keep=LatestN(1))
    loaded = survivor.load_latest()
    assert loaded.content.server_round == (2 if committed else 1)
    assert loaded.weights["w"][0] == loaded.content.server_round


@pytest.mark.parametrize("writes", range(6))
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
    CheckpointManager(storage, "trial", keep=LatestN(1)).save(content(1))
    CheckpointManager(Failing(storage, 6), "trial", keep=LatestN(1)).save(content(2))
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
