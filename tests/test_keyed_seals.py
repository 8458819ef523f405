"""With a key, what is not sealed by it is refused, wherever it is read."""

import json
import zipfile

import pytest
from checkpointing.samples import content
from flwr.serverapp.strategy import FedAvg
from registry.samples import weights_of

from flwr_registry import RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import CheckpointError, IntegrityError, SealError
from flwr_registry.keyed_seals import SEAL_KEY_VARIABLE
from flwr_registry.registry import ModelRegistry
from flwr_registry.storage import BytesContent, LocalStorageBackend

KEY, OTHER = "k" * 40, "o" * 40


@pytest.fixture
def storage(tmp_path):
    return LocalStorageBackend(tmp_path / "root")


@pytest.fixture
def key(monkeypatch):
    def set_key(value):
        monkeypatch.setenv(SEAL_KEY_VARIABLE, value)

    return set_key


@pytest.mark.parametrize("bad", ["short", f" {KEY}", f"{KEY}\n", " " * 40])
def test_a_bad_key_is_refused_before_a_checkpoint_exists(storage, key, bad):
    key(bad)
    with pytest.raises(SealError, match="openssl rand") as caught:
        CheckpointManager(storage, "trial").save(content(1))
    assert KEY not in str(caught.value)
    assert CheckpointManager(storage, "trial").rounds() == []
    with pytest.raises(SealError, match="openssl rand"):
        RegistryStrategy(FedAvg())


def test_sealed_checkpoints_are_read_with_their_key_and_without_any(storage, key):
    manager = CheckpointManager(storage, "trial")
    key(KEY)
    manager.save(content(1))
    assert manager.load_latest().content.server_round == 1
    key("")
    assert manager.load_latest().content.server_round == 1
    key(OTHER)
    with pytest.raises(
        SealError, match="set the key that it was sealed with"
    ) as caught:
        manager.load_latest()
    assert KEY not in str(caught.value) and OTHER not in str(caught.value)


def test_an_unsealed_checkpoint_is_refused_until_it_is_sealed(storage, key, tmp_path):
    manager = CheckpointManager(storage, "trial")
    manager.save(content(1))
    with ModelRegistry(tmp_path / "r.db", storage) as registry:
        with pytest.raises(SealError, match="is not set"):
            registry.seal_checkpoints()
        key(KEY)
        with pytest.raises(SealError, match="checkpoints seal"):
            manager.load_latest()
        assert any("has no seal" in each.problem for each in registry.doctor())
        assert registry.seal_checkpoints() == ["trial/1"]
        assert manager.load_latest().content.server_round == 1
        assert registry.seal_checkpoints() == []
        key(OTHER)
        with pytest.raises(SealError):
            registry.seal_checkpoints()
        assert registry.seal_checkpoints(replace=True) == ["trial/1"]
        assert manager.load_latest().content.server_round == 1


@pytest.mark.parametrize("damage", ["changed", "gone", "of another key"])
def test_a_damaged_checkpoint_keeps_no_other_from_its_seal(
    storage, key, tmp_path, damage
):
    manifest = "checkpoints/trial/round_000001/manifest.json"
    key(OTHER if damage == "of another key" else "")
    CheckpointManager(storage, "trial").save(content(1))
    key("")
    CheckpointManager(storage, "trial").save(content(2))
    CheckpointManager(storage, "trial~2").save(content(1))
    if damage == "changed":
        storage.save(manifest, BytesContent(b"{}"))
    if damage == "gone":
        storage.delete(manifest)
    key(KEY)
    with (
        ModelRegistry(tmp_path / "r.db", storage) as registry,
        pytest.raises((CheckpointError, IntegrityError, SealError), match="000001"),
    ):
        registry.seal_checkpoints()
    assert CheckpointManager(storage, "trial").manifest_of(2)
    assert CheckpointManager(storage, "trial~2").manifest_of(1)


def test_a_seal_counts_for_one_round_of_one_run(storage, key, tmp_path):
    key(KEY)
    CheckpointManager(storage, "trial").save(content(1))
    folder = tmp_path / "root" / "checkpoints" / "trial"
    (folder / "round_000001").rename(folder / "round_000009")
    with pytest.raises(SealError):
        CheckpointManager(storage, "trial").load_latest()


def test_a_marker_that_was_written_anew_is_refused(storage, key, tmp_path):
    key(KEY)
    CheckpointManager(storage, "trial").save(content(1))
    marker = tmp_path / "root/checkpoints/trial/round_000001/COMMITTED"
    told = json.loads(marker.read_text())
    marker.write_text(json.dumps({**told, "sha256": "0" * 64}))
    with pytest.raises(SealError):
        CheckpointManager(storage, "trial").load_latest()


def test_bundles(storage, key, tmp_path):
    with ModelRegistry(tmp_path / "r.db", storage) as registry:
        registry.register(weights_of(1), model="digits")
        unsealed = registry.export("digits", tmp_path / "unsealed.bundle", to="bundle")
        key(KEY)
        sealed = registry.export("digits", tmp_path / "sealed.bundle", to="bundle")
    forged = tmp_path / "forged.bundle"
    with zipfile.ZipFile(sealed) as old, zipfile.ZipFile(forged, "w") as new:
        told = json.loads(old.read("manifest.json"))
        told["metrics"] = {"evaluate_serverapp": {"accuracy": 1.0}}
        new.writestr("manifest.json", json.dumps(told))
        new.writestr("weights.safetensors", old.read("weights.safetensors"))
    with ModelRegistry(tmp_path / "other.db", tmp_path / "other") as other:
        for bad in (unsealed, forged):
            with pytest.raises(SealError, match="bundle"):
                other.import_bundle(bad)
        assert other.import_bundle(sealed).reference == "digits:1.0.0"
    key("")
    with ModelRegistry(tmp_path / "third.db", tmp_path / "third") as third:
        assert third.import_bundle(forged).reference == "digits:1.0.0"
