"""Checkpoints are read while another process writes and removes them."""

import io
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from checkpointing.samples import Failing, content

from flwr_registry.checkpointing import CheckpointManager, each_manifest
from flwr_registry.checkpointing.checkpoint_files import CheckpointFiles
from flwr_registry.checkpointing.storage_leases import StorageLeases
from flwr_registry.errors import CheckpointError
from flwr_registry.keyed_seals import SEAL_KEY_VARIABLE
from flwr_registry.records import Lease, LeaseHolder
from flwr_registry.retention import LatestN
from flwr_registry.storage import BytesContent, LocalStorageBackend


class Racing:
    """A storage on which another one saves a checkpoint after each listing."""

    def __init__(self, storage, rounds):
        self._storage = storage
        self._left = rounds
        self._writer = CheckpointManager(storage, "trial", keep=LatestN(1))
        self.written = 0
        self.write()

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def write(self):
        self.written += 1
        self._writer.save(content(self.written))

    def list(self, prefix):
        found = list(self._storage.list(prefix))
        if self._left:
            self._left -= 1
            self.write()
        return iter(found)


@pytest.mark.parametrize("rounds", [1, 2, 3, 10])
def test_what_was_pruned_meanwhile_is_looked_for_again(storage, rounds, caplog):
    racing = Racing(storage, rounds)
    loaded = CheckpointManager(racing, "trial").load_latest()
    assert loaded.content.server_round == racing.written
    assert "damaged" not in caplog.text


def test_it_does_not_fall_back_to_one_that_was_pinned(storage):
    racing = Racing(storage, 0)
    racing._writer.pin(1)
    for _ in range(5):
        racing.write()
    racing._left = 3
    loaded = CheckpointManager(racing, "trial").load_latest()
    assert loaded.content.server_round == racing.written


def test_an_endless_race_ends_with_an_error(storage, monkeypatch):
    module = "flwr_registry.checkpointing.checkpoint_manager"
    monkeypatch.setattr(f"{module}._LOOKS", 5)
    racing = Racing(storage, 1000)
    with pytest.raises(CheckpointError, match="removed faster"):
        CheckpointManager(racing, "trial").load_latest()


def test_a_damaged_one_is_still_named_once_and_the_one_before_taken(storage, caplog):
    manager = CheckpointManager(storage, "trial")
    for number in (1, 2, 3):
        manager.save(content(number))
    for number in (2, 3):
        key = f"checkpoints/trial/round_00000{number}/weights.safetensors"
        storage.save(key, BytesContent(b"damaged"))
    assert manager.load_latest().content.server_round == 1
    assert caplog.text.count("is damaged, the one before is taken") == 2


def test_a_lease_that_a_newer_start_removed_is_looked_for_again(storage):
    first = Lease(
        run="trial",
        start_number=1,
        token="a",
        holder=LeaseHolder("host", 1),
        since=datetime.now(UTC),
    )
    StorageLeases(storage, "trial").claim(first)

    class Claiming(Failing):
        def list(self, prefix):
            found = list(storage.list(prefix))
            second = replace(first, start_number=2)
            StorageLeases(storage, "trial").claim(second)
            StorageLeases(storage, "trial").renew(second)
            return iter(found)

    assert StorageLeases(Claiming(storage, 0), "trial").newest().start_number == 2


def test_a_checkpoint_that_was_pruned_meanwhile_is_no_finding(storage):
    racing = Racing(storage, 0)
    racing.write()
    racing._left = 3
    found = list(each_manifest(racing))
    assert all(each.manifest is not None for each in found)


def test_a_checkpoint_is_found_at_every_look_beside_a_fast_writer(tmp_path):
    storage, ended = LocalStorageBackend(tmp_path), threading.Event()
    committed = [1]
    writer = CheckpointManager(storage, "trial", keep=LatestN(1))
    writer.save(content(1))

    def write():
        while not ended.is_set():
            writer.save(content(committed[0] + 1))
            committed[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(60):
            before = committed[0]
            loaded = CheckpointManager(storage, "trial").load_latest()
            assert loaded.content.server_round >= before
    finally:
        ended.set()
        thread.join()


class Pruned:
    """A storage on which another process prunes round 2 before or after a read."""

    def __init__(self, storage, name, *, before):
        self._storage, self._name, self._before = storage, name, before

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def load(self, key, **options):
        return self._beside(key, lambda: self._storage.load(key, **options))

    def open(self, key):
        def read():
            with self._storage.open(key) as file:
                return io.BytesIO(file.read())

        return self._beside(key, read)

    def _beside(self, key, read):
        if key != f"checkpoints/trial/round_000002/{self._name}":
            return read()
        if self._before:
            CheckpointFiles(self._storage, "trial").remove([2])
        data = read()
        CheckpointFiles(self._storage, "trial").remove([2])
        return data


@pytest.mark.parametrize("name", ["COMMITTED", "manifest.json"])
@pytest.mark.parametrize("before", [True, False])
def test_sealing_brings_no_pruned_checkpoint_back(storage, monkeypatch, name, before):
    for number in (1, 2, 3):
        CheckpointManager(storage, "trial").save(content(number))
    monkeypatch.setenv(SEAL_KEY_VARIABLE, "k" * 40)
    pruned = Pruned(storage, name, before=before)
    assert CheckpointManager(pruned, "trial").seal() == [1, 3]
    assert CheckpointManager(storage, "trial").rounds() == [1, 3]
    assert not list(storage.list("checkpoints/trial/round_000002"))


def test_a_marker_that_is_saved_while_a_checkpoint_is_removed_goes_too(storage):
    CheckpointManager(storage, "trial").save(content(1))
    key = "checkpoints/trial/round_000001/COMMITTED"
    marker = BytesContent(bytes(storage.load(key)))

    class Sealed:
        def __getattr__(self, name):
            return getattr(storage, name)

        def list(self, prefix):
            found = list(storage.list(prefix))
            storage.save(key, marker)
            return iter(found)

    CheckpointFiles(Sealed(), "trial").remove([1])
    assert CheckpointManager(storage, "trial").rounds() == []
