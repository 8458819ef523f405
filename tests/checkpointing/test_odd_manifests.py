"""A manifest that makes no sense is a damaged checkpoint, and no more than that."""

import json
from contextlib import suppress

import pytest
from checkpointing.samples import content
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import ODD, places_in, with_odd

from flwr_registry.checkpointing import CheckpointManager, restore_random_state
from flwr_registry.checkpointing.checkpoint import read_manifest
from flwr_registry.checkpointing.checkpoint_files import CheckpointFiles
from flwr_registry.errors import CheckpointError, RegistryError
from flwr_registry.registry import ModelRegistry
from flwr_registry.storage import LocalStorageBackend


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A storage with the checkpoints of two rounds."""
    storage = LocalStorageBackend(tmp_path_factory.mktemp("storage"))
    for server_round in (1, 2):
        CheckpointManager(storage, "trial").save(content(server_round))
    return storage


def manifest_of(storage, server_round=2):
    return json.loads(CheckpointFiles(storage, "trial").read_manifest(server_round))


def replace_manifest(storage, manifest):
    files, text = CheckpointFiles(storage, "trial"), json.dumps(manifest).encode()
    files.write_manifest(2, text, interim=False)
    files.commit(2, text)


@pytest.mark.slow
def test_a_manifest_is_read_or_refused_whatever_it_says(two):
    manifest = manifest_of(two)
    for place in places_in(manifest):
        for odd in ODD:
            with suppress(CheckpointError):
                data = json.dumps(with_odd(manifest, place, odd)).encode()
                read = read_manifest(data).content
                with suppress(CheckpointError):
                    restore_random_state(read.random_state)


BROKEN = {
    "size_bytes": ("weights", "size_bytes"),
    "key": ("weights", "key"),
    "state": ("state_arrays", "sha256"),
    "rounds": ("rounds", "1", "nodes", 0),
    "metrics": ("metrics", "train_clientapp"),
    "provenance": ("provenance", "name"),
}


@pytest.mark.parametrize(
    "odd", [None, -1, 2**70, float("nan"), ["a"], {"a": 1}, "../x"]
)
@pytest.mark.parametrize("place", BROKEN.values(), ids=BROKEN)
def test_the_checkpoint_before_is_taken(two, place, odd, caplog):
    whole = manifest_of(two)
    try:
        replace_manifest(two, with_odd(whole, place, odd))
        assert CheckpointManager(two, "trial").load_latest().content.server_round == 1
        assert "the checkpoint of round 2 is damaged" in caplog.text
    finally:
        replace_manifest(two, whole)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=25)
def test_a_registry_raises_its_own_errors_alone(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd")
    with ModelRegistry(folder / "registry.db", folder / "weights") as registry:
        CheckpointManager(registry.storage, "trial").save(content(2))
        manifest = manifest_of(registry.storage)
        place = data.draw(st.sampled_from(list(places_in(manifest))))
        odd = with_odd(manifest, place, data.draw(st.sampled_from(ODD)))
        replace_manifest(registry.storage, odd)
        for verb in (registry.doctor, registry.rebuild, registry.doctor):
            with suppress(RegistryError):
                verb()
