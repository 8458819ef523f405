"""Files of other programs are recognised by content, and never unpickled."""

import io
import json
import pickle

import numpy as np
import pytest
import torch

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights import Weights, encode, read_model_file

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}


def safetensors():
    return b"".join(encode(Weights(ARRAYS)))


def torch_file(what, **how):
    file = io.BytesIO()
    torch.save(what, file, **how)
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, **ARRAYS)
    return file.getvalue()


STATE = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
FORMS = {
    "safetensors": safetensors,
    "torch": lambda: torch_file(STATE),
    "older torch": lambda: torch_file(STATE, _use_new_zipfile_serialization=False),
    "npz": npz,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_arrays(form, tmp_path):
    data = FORMS[form]()
    place = tmp_path / "model.of-any-name"
    place.write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), place, str(place)):
        found = read_model_file(source)
        assert {name: array.dtype for name, array in found.weights.items()} == {
            name: array.dtype for name, array in ARRAYS.items()
        }
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found.weights[name], array)


def test_a_safetensors_file_is_stored_byte_for_byte():
    foreign = b"".join(encode(Weights(ARRAYS)))
    # Another program says other things in the header.
    foreign = foreign.replace(b'"format":"pt"', b'"format":"np"')
    found = read_model_file(foreign)
    assert b"".join(found.content) == foreign
    assert found.content.size_bytes == len(foreign)


def test_xgboost_is_kept_as_it_is():
    data = json.dumps({"learner": {}, "version": [3, 0, 0]}).encode()
    weights = read_model_file(data).weights
    assert weights.opaque and weights["0"].tobytes() == data


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it was run')",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"{}",
        b"PK\x03\x04 broken",
        pickle.dumps(Evil()),
        pickle.dumps({"w": [1, 2]}),
        torch_file({"w": Evil()}),
        torch_file([torch.zeros(2)]),
        torch_file({"w": 3}),
        safetensors()[:-1],
        safetensors()[:40],
        npz()[:-30],
    ],
    ids=range(12),
)
def test_anything_else_is_refused_and_nothing_is_run(data, tmp_path):
    with pytest.raises(WeightsFormatError):
        read_model_file(data)
    place = tmp_path / "model.pt"
    place.write_bytes(data)
    with pytest.raises(WeightsFormatError, match=r"model\.pt"):
        read_model_file(place)


def test_an_archive_with_objects_is_refused():
    file = io.BytesIO()
    np.savez(file, w=np.array([Evil()], dtype=object))
    with pytest.raises(WeightsFormatError, match="npz"):
        read_model_file(file.getvalue())


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model_file(tmp_path / "none.safetensors")
