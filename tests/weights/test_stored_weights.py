"""Weights in a storage, looked at through the side door."""

import hashlib
import subprocess

import numpy as np
import pytest
import safetensors.numpy

from flwr_registry.errors import (
    IntegrityError,
    ObjectNotFoundError,
    WeightsFormatError,
)
from flwr_registry.records import StoredObject
from flwr_registry.storage import BytesContent, LocalStorageBackend
from flwr_registry.weights import Weights, load_weights, save_weights

WEIGHTS = Weights({"w": np.arange(12, dtype=np.float32).reshape(3, 4)})


@pytest.fixture
def storage(tmp_path):
    return LocalStorageBackend(tmp_path)


def test_the_digest_is_that_of_the_file(storage, tmp_path):
    stored = save_weights(storage, "models/m/1.0.0/{digest}.safetensors", WEIGHTS)
    path = tmp_path / stored.key
    printed = subprocess.run(
        ["sha256sum", path], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split()[0] == stored.sha256
    assert path.stat().st_size == stored.size_bytes
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["w"], WEIGHTS["w"])
    np.testing.assert_array_equal(load_weights(storage, stored)["w"], WEIGHTS["w"])


def test_the_same_weights_are_the_same_bytes(storage):
    first = save_weights(storage, "a", WEIGHTS)
    again = save_weights(storage, "b", Weights({"w": np.array(WEIGHTS["w"])}))
    assert first.sha256 == again.sha256


def test_every_flipped_byte_is_found(storage, tmp_path):
    stored = save_weights(storage, "a.safetensors", WEIGHTS)
    path = tmp_path / stored.key
    sound = path.read_bytes()
    for position in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"a\.safetensors .* is damaged"):
            load_weights(storage, stored)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x"])
def test_another_length_is_found(storage, tmp_path, change):
    stored = save_weights(storage, "a.safetensors", WEIGHTS)
    path = tmp_path / stored.key
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IntegrityError, match="another length"):
        load_weights(storage, stored)


def test_a_missing_file_is_named(storage):
    with pytest.raises(ObjectNotFoundError, match="gone"):
        load_weights(storage, StoredObject("gone.safetensors", 1, "0" * 64))


def test_sound_bytes_that_are_no_weights_name_the_file(storage):
    data = b"nothing like it"
    stored = storage.save("odd.bin", BytesContent(data))
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    with pytest.raises(WeightsFormatError, match=r"odd\.bin") as caught:
        load_weights(storage, stored)
    assert caught.value.key == "odd.bin"
