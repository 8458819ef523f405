"""What a file makes is bounded by what it has, whoever reads it."""

import io
import tracemalloc
from contextlib import contextmanager, suppress
from hashlib import sha256

import pytest
from weights.growing_files import NPZ, PACKED, SAFETENSORS, TORCH

from flwr_registry.errors import IntegrityError, RegistryError, WeightsFormatError
from flwr_registry.records import StoredObject
from flwr_registry.storage import BytesContent, LocalStorageBackend
from flwr_registry.weights import (
    copy_verified,
    load_npy_images,
    load_separate_arrays,
    load_verified,
    load_weights,
    open_tensors,
    read_model_file,
    verify_stored,
)
from flwr_registry.weights.torch_state_files import state_of

FILES = {**SAFETENSORS, **NPZ, **PACKED}
SOME_MEMORY = 16 * 1024 * 1024


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < SOME_MEMORY
    finally:
        tracemalloc.stop()


def select(storage, stored):
    with open_tensors(storage, stored) as tensors:
        for name in tensors:
            for _ in tensors.blocks(name):
                pass
        tensors.select(tensors)


READERS = {
    "weights": load_weights,
    "weights for torch": lambda *where: load_weights(*where).to_torch(),
    "images": load_npy_images,
    "arrays": load_separate_arrays,
    "tensors": select,
    "bytes": load_verified,
    "digest": verify_stored,
    "copy": lambda *where: copy_verified(*where, io.BytesIO()),
}


def stored_as(storage, data):
    key = f"models/digits/{sha256(data).hexdigest()}"
    return storage.save(key, BytesContent(data))


@pytest.mark.parametrize("name", FILES)
def test_files_of_others_are_refused(name):
    with little_memory(), pytest.raises(WeightsFormatError):
        read_model_file(FILES[name])


@pytest.mark.parametrize("name", SAFETENSORS)
@pytest.mark.parametrize("reader", READERS)
def test_stored_files_are_read_within_their_length(tmp_path, name, reader):
    storage = LocalStorageBackend(tmp_path)
    stored = stored_as(storage, SAFETENSORS[name])
    with little_memory(), suppress(RegistryError):
        READERS[reader](storage, stored)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("size", [2**60, 10**30, 7, 0])
def test_a_length_that_is_only_claimed_takes_no_memory(tmp_path, reader, size):
    storage = LocalStorageBackend(tmp_path)
    stored = stored_as(storage, b"12345678")
    claimed = StoredObject(stored.key, size, stored.sha256)
    with little_memory(), pytest.raises(IntegrityError):
        READERS[reader](storage, claimed)


@pytest.mark.parametrize("name", TORCH)
def test_tensors_that_share_memory_are_counted_before_they_are_copied(name):
    data = TORCH[name]
    with pytest.raises(WeightsFormatError):
        state_of(io.BytesIO(data), len(data))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["expanded", "a storage that is not there"])
def test_torch_files_are_read_by_a_process_that_is_bounded(tmp_path, name):
    place = tmp_path / "model.pt"
    place.write_bytes(TORCH[name])
    with little_memory(), pytest.raises(WeightsFormatError, match=r"model\.pt"):
        read_model_file(place)
