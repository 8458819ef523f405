"""Whatever weights there are, they come back the same."""

import hashlib
import io
import string
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from flwr_registry.registry import ModelRegistry
from flwr_registry.weights.torch_state_files import state_of

DTYPES = ["<f4", "<f8", "<f2", "<i8", "<i4", "u1", "?"]
ARRAYS = st.dictionaries(
    st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=12),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
            elements=(
                {"allow_nan": False, "allow_infinity": False} if "f" in dtype else None
            ),
        )
    ),
    min_size=1,
    max_size=4,
).filter(lambda arrays: ".." not in arrays)


@pytest.fixture(scope="module")
def two_registries(tmp_path_factory):
    """Registries that only this module writes to: each example has its own model."""
    folder = tmp_path_factory.mktemp("registries")
    with (
        ModelRegistry(folder / "here" / "registry.db") as here,
        ModelRegistry(folder / "there" / "registry.db") as there,
    ):
        yield here, there


@contextmanager
def somewhere():
    with TemporaryDirectory() as folder:
        yield Path(folder)


def alike(found, arrays):
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.slow
@given(arrays=ARRAYS)
@settings(max_examples=25)
def test_a_foreign_file_comes_back_byte_for_byte(two_registries, arrays):
    here, there = two_registries
    data = save(arrays, metadata={"said": "elsewhere"})
    model = f"m{len(here.models())}"
    made = here.register(data, model=model)
    assert made.checksum == hashlib.sha256(data).hexdigest()
    with somewhere() as folder:
        assert here.export(model, folder / "a").read_bytes() == data
        card = here.export(model, folder / "card", to="huggingface")
        assert (card / "model.safetensors").read_bytes() == data
        bundle = here.export(model, folder / "bundle", to="bundle")
        brought = there.import_bundle(bundle)
        assert (brought.checksum, brought.fingerprint, brought.metadata) == (
            made.checksum,
            made.fingerprint,
            made.metadata,
        )
        assert there.export(model, folder / "b").read_bytes() == data


@given(arrays=ARRAYS)
@settings(max_examples=25)
def test_a_state_dict_comes_back_as_it_was(two_registries, arrays):
    here, _ = two_registries
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    model = f"m{len(here.models())}"
    with somewhere() as folder:
        file = io.BytesIO()
        torch.save(state, file)
        # As a file it would be read by a process of its own, which takes seconds.
        here.register(state_of(io.BytesIO(file.getvalue()), file.tell()), model=model)
        alike(here.load(model), arrays)
        place = here.export(model, folder / "again.pt", to="torch")
        back = torch.load(place, weights_only=True)
        assert list(back) == list(state)
        alike({name: tensor.numpy() for name, tensor in back.items()}, arrays)
