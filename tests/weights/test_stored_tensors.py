"""Single tensors of a file, read without the others."""

import numpy as np
import pytest

from flwr_registry.errors import IntegrityError, TensorNotFoundError
from flwr_registry.records import StoredObject
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.weights import Weights, open_tensors, save_weights

ARRAYS = {
    "plain": np.arange(12, dtype=np.float32).reshape(3, 4),
    "big_endian": np.arange(5, dtype=">f8"),
    "by_columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "scalar": np.float64(3.5) * np.ones(()),
    "empty": np.ones((0, 4), np.float32),
    "counter": np.float32(7) * np.ones(()),
    "text": np.array(["ab", "c"]),
}


@pytest.fixture
def storage(tmp_path):
    return LocalStorageBackend(tmp_path)


@pytest.fixture
def stored(storage):
    weights = Weights(ARRAYS, cast_back={"counter": "int64"})
    return save_weights(storage, "m.safetensors", weights)


def select(storage, stored, *names, verify=True):
    with open_tensors(storage, stored, verify=verify) as tensors:
        return tensors.select(names)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ARRAYS)
def test_a_tensor_alone_is_what_it_was(storage, stored, name, verify):
    found = select(storage, stored, name, verify=verify)
    assert list(found) == [name]
    assert found[name].dtype == ARRAYS[name].dtype
    assert found[name].flags.f_contiguous == ARRAYS[name].flags.f_contiguous
    np.testing.assert_array_equal(found[name], ARRAYS[name])
    assert dict(found.cast_back) == ({"counter": "int64"} if name == "counter" else {})


def test_the_order_is_that_asked_for(storage, stored):
    assert list(select(storage, stored, "text", "plain", "text")) == ["text", "plain"]


def test_what_is_not_there_is_named_with_what_comes_near(storage, stored):
    with pytest.raises(TensorNotFoundError, match="no tensor 'plane'; did you mean pl"):
        select(storage, stored, "plane")


def test_damage_elsewhere_is_seen_only_by_reading_all(storage, stored, tmp_path):
    path = tmp_path / stored.key
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="is damaged"):
        select(storage, stored, "big_endian")
    found = select(storage, stored, "big_endian", verify=False)
    np.testing.assert_array_equal(found["big_endian"], ARRAYS["big_endian"])


def test_another_length_is_always_seen(storage, stored):
    longer = StoredObject(stored.key, stored.size_bytes + 8, stored.sha256)
    with pytest.raises(IntegrityError, match="another length"):
        select(storage, longer, "plain", verify=False)
