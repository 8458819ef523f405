"""Stored weights come back as the images that Flower itself would make."""

import io
import tracemalloc

import numpy as np
import pytest

from flwr_registry.errors import IntegrityError, ObjectNotFoundError
from flwr_registry.records import StoredObject
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.weights import Weights, load_npy_images, save_weights

ARRAYS = {
    "plain": np.arange(12, dtype=np.float32).reshape(3, 4),
    "scalar": np.array(17, np.int64),
    "empty": np.zeros((0, 3), np.float16),
    "truth": np.array([True, False]),
    "complex": np.arange(3) * 1j,
}
RARE = {
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.arange(3, dtype=">f8"),
    "text": np.array(["a", "bc"]),
}


def image_of(array):
    image = io.BytesIO()
    np.save(image, array)
    return image.getvalue()


@pytest.mark.parametrize("arrays", [ARRAYS, RARE, {**ARRAYS, **RARE}])
def test_images_are_those_that_numpy_saves(tmp_path, arrays):
    storage = LocalStorageBackend(tmp_path)
    stored = save_weights(storage, "w.safetensors", Weights(arrays))
    loaded = load_npy_images(storage, stored)
    assert loaded.images == {name: image_of(array) for name, array in arrays.items()}
    assert list(loaded.images) == list(arrays)
    assert not loaded.opaque


@pytest.mark.parametrize("arrays", [ARRAYS, {**ARRAYS, **RARE}])
def test_what_arrays_were_before_arithmetic_is_told(tmp_path, arrays):
    storage = LocalStorageBackend(tmp_path)
    weights = Weights({**arrays, "wide": np.ones(2)}, cast_back={"wide": "float32"})
    loaded = load_npy_images(storage, save_weights(storage, "w", weights))
    assert dict(loaded.cast_back) == {"wide": "float32"}


def test_a_serialized_model_says_so(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    model = Weights({"0": np.frombuffer(b"{}", np.uint8)}, opaque=True)
    loaded = load_npy_images(storage, save_weights(storage, "w", model))
    assert loaded.opaque and loaded.images["0"].endswith(b"{}")


@pytest.mark.parametrize("place", [3, 20, -1])
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path, place):
    storage = LocalStorageBackend(tmp_path)
    stored = save_weights(storage, "w.safetensors", Weights(ARRAYS))
    data = bytearray((tmp_path / "w.safetensors").read_bytes())
    data[place] ^= 4
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"w\.safetensors"):
        load_npy_images(storage, stored)


def test_a_truncated_and_a_missing_file_are_told_apart(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    stored = save_weights(storage, "w.safetensors", Weights(ARRAYS))
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:-1])
    with pytest.raises(IntegrityError):
        load_npy_images(storage, stored)
    with pytest.raises(ObjectNotFoundError):
        load_npy_images(storage, StoredObject("gone", 1, "0" * 64))


def test_memory_stays_near_one_model(tmp_path):
    storage = LocalStorageBackend(tmp_path)
    arrays = {str(n): np.zeros(2**20) for n in range(8)}
    stored = save_weights(storage, "w.safetensors", Weights(arrays))
    model = 8 * 8 * 2**20
    tracemalloc.start()
    loaded = load_npy_images(storage, stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(loaded.images) == 8
    assert peak < 1.2 * model
