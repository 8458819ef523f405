"""Files of other programs are recognised by content, and never unpickled."""

import io
import json
import pickle
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights import Weights, encode, read_model_file
from flwr_registry.weights.torch_state_files import state_of

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


def read_in_here(data):
    """Read a file, one of torch's without a process of its own, which takes seconds."""
    if is_torch(data):
        return state_of(io.BytesIO(data), len(data))
    return read_model_file(data)


def is_torch(data):
    return data.startswith(b"\x80") or b"/data.pkl" in data


STATE = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
FORMS = {
    "safetensors": safetensors,
    "torch": lambda: torch_file(STATE),
    "older torch": lambda: torch_file(STATE, _use_new_zipfile_serialization=False),
    "npz": npz,
}


SLOW = [pytest.param(form, marks=pytest.mark.slow) for form in ("torch", "older torch")]


@pytest.mark.parametrize("form", ["safetensors", "npz", *SLOW])
def test_every_form_gives_the_same_arrays(form, tmp_path):
    data = FORMS[form]()
    place = tmp_path / "model.of-any-name"
    place.write_bytes(data)
    sources = [data, bytearray(data), memoryview(data), place, str(place)]
    for source in sources[2:4] if "torch" in form else sources:
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


def test_xgboost_in_its_binary_form_is_kept_too():
    # The first bytes of Booster.save_raw("ubj") of XGBoost 3.2.
    data = b"{L" + (7).to_bytes(8) + b"learner{L" + (10).to_bytes(8) + b"attributes{}"
    # As the length of a safetensors header these bytes would be small enough.
    data += bytes(20_000) + b"}"
    weights = read_model_file(data).weights
    assert weights.opaque and weights["0"].tobytes() == data


def test_a_tensor_that_numpy_lacks_says_how_to_convert_it():
    with pytest.raises(WeightsFormatError, match=r"bfloat16.*\.float\(\)"):
        read_in_here(torch_file({"w": torch.ones(2, dtype=torch.bfloat16)}))


LARGE = {"w": np.ones(1_000_000)}


@pytest.mark.parametrize(
    ("write", "most"),
    [
        (lambda place: np.savez(place, **LARGE), 1.5),
        pytest.param(
            lambda place: torch.save({"w": torch.from_numpy(LARGE["w"])}, place),
            1.1,
            marks=pytest.mark.slow,
        ),
        (lambda place: save_file(LARGE, place), 0.1),
    ],
    ids=["npz", "torch", "safetensors"],
)
def test_a_large_file_is_not_in_memory_twice(write, most, tmp_path):
    place = tmp_path / "model.npz"
    write(place)
    tracemalloc.start()
    try:
        found = read_model_file(place)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.weights["w"][-1] == 1
    assert peak < most * LARGE["w"].nbytes


@given(data=st.data())
@settings(max_examples=100)
def test_damage_is_told_and_raises_nothing_else(data):
    form = data.draw(st.sampled_from(sorted(FORMS)))
    damaged = bytearray(FORMS[form]())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) or len(damaged) :]
    with suppress(WeightsFormatError):
        read_in_here(damaged)


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
        read_in_here(data)
    if is_torch(data):
        return
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


def test_a_torch_that_cannot_be_imported_is_not_blamed_on_the_file(
    tmp_path, monkeypatch
):
    (tmp_path / "torch.py").write_text("raise ImportError('no libtorch')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsFormatError, match="torch cannot be imported: no libt"):
        read_model_file(torch_file(STATE))
