"""Files become versions, validated before anything is written."""

import hashlib

import numpy as np
import pytest

from flwr_registry.errors import (
    DuplicateVersionError,
    ModelNotFoundError,
    ValidationError,
    WeightsFormatError,
)
from flwr_registry.records import VersionStatus
from flwr_registry.weights import Weights, encode

ARRAYS = {"w": np.arange(4, dtype=np.float32)}


@pytest.fixture
def file(tmp_path):
    place = tmp_path / "model.safetensors"
    place.write_bytes(b"".join(encode(Weights(ARRAYS))))
    return place


def rows(sql):
    return sql("SELECT id FROM model_versions") + sql("SELECT id FROM uploads")


def test_the_stored_file_is_the_file(registry, file):
    made = registry.register(file, model="digits", bump="minor")
    assert made.checksum == hashlib.sha256(file.read_bytes()).hexdigest()
    stored = f"{registry.storage.url}/{made.storage_path}"
    with open(stored, "rb") as opened:
        assert opened.read() == file.read_bytes()
    np.testing.assert_array_equal(registry.load("digits")["w"], ARRAYS["w"])


def test_bytes_arrays_and_files_are_one_architecture(registry, file):
    first = registry.register(file, model="digits")
    second = registry.register(file.read_bytes(), model="digits", parent="1.0.0")
    third = registry.register({"w": np.ones(4, np.float32)}, model="digits")
    assert {first.fingerprint} == {second.fingerprint, third.fingerprint}
    assert second.version == "1.1.0"


def test_repeated_it_is_the_same_version(registry, file):
    made = registry.register(file, model="digits", version="1.0.0")
    assert registry.register(str(file), model="digits", version="1.0.0") == made
    with pytest.raises(DuplicateVersionError):
        registry.register({"w": np.ones(4)}, model="digits", version="1.0.0")


@pytest.mark.parametrize(
    ("source", "said", "error"),
    [
        ({"w": np.array([np.nan])}, {}, ValidationError),
        (b"no model at all", {}, WeightsFormatError),
        (ARRAYS, {"parent": "7.0.0"}, ModelNotFoundError),
        (ARRAYS, {"metadata": {"is_production": True}}, TypeError),
    ],
)
def test_what_is_unfit_leaves_nothing(registry, sql, source, said, error):
    with pytest.raises(error):
        registry.register(source, model="digits", **said)
    assert rows(sql) == []
    assert list(registry.storage.list("")) == []


def test_unfit_weights_are_kept_when_the_user_says_so(registry):
    broken = {"w": np.array([np.nan])}
    with pytest.raises(ValidationError, match="errors="):
        registry.register(broken, model="digits")
    made = registry.register(broken, model="digits", errors=["known to be broken"])
    assert made.status is VersionStatus.FAILED
