"""Flower's arrays as weights: views, names, odd layouts."""

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord
from flwr.common import Parameters, ndarrays_to_parameters
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.errors import WeightsFormatError
from flwr_registry.strategy.conversions import (
    array_view,
    buffers_of,
    weights_of,
)
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.weights import Architecture, Weights

DTYPES = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.unicode_string_dtypes(min_len=1, max_len=3),
)


@given(
    DTYPES.flatmap(
        lambda dtype: hnp.arrays(
            dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
        )
    ),
    st.booleans(),
)
def test_a_view_is_the_array(array, fortran):
    array = np.asfortranarray(array).reshape(array.shape) if fortran else array
    image = Array(np.asarray(array)).data
    view = array_view("w", image)
    assert (view.dtype, view.shape) == (array.dtype, array.shape)
    assert view.tobytes() == array.tobytes()
    assert view.flags.f_contiguous >= array.flags.f_contiguous


def test_a_view_copies_nothing():
    data = Array(np.arange(1000.0)).data
    assert np.shares_memory(array_view("w", data), np.frombuffer(data, np.uint8))


def test_the_arrays_own_dtype_and_shape_are_not_trusted():
    data = Array(np.arange(6.0).reshape(2, 3)).data
    record = ArrayRecord({"w": Array(dtype="", shape=(), stype="x", data=data)})
    assert weights_of(record)["w"].shape == (2, 3)


@pytest.mark.parametrize("cut", [7, 9, 40, 130])
def test_a_truncated_image_is_named(cut):
    data = Array(np.arange(6.0)).data[:cut]
    with pytest.raises(WeightsFormatError, match="'w' is unreadable"):
        array_view("w", data)


def test_pickled_objects_are_refused():
    import io

    image = io.BytesIO()
    np.save(image, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(WeightsFormatError, match="pickled"):
        array_view("w", image.getvalue())


def test_legacy_tensors_get_positions_or_names():
    parameters = ndarrays_to_parameters([np.zeros(2), np.ones((1, 2))])
    assert list(weights_of(parameters)) == ["0", "1"]
    assert list(weights_of(parameters, ("a", "b"))) == ["a", "b"]
    assert list(weights_of(parameters, ("a",))) == ["a", "1"]
    for unclear in (("a", "b", "c"), ("1",)):
        assert list(weights_of(parameters, unclear)) == ["0", "1"]


def test_a_serialized_model_is_opaque_in_both_apis():
    model = b'{"learner": {}}'
    record = ArrayRecord([np.frombuffer(model, np.uint8)])
    for form in (record, Parameters([model], "")):
        weights = weights_of(form)
        assert weights.opaque
        assert weights["0"].tobytes() == model


def test_no_model():
    assert weights_of(None) is None
    assert weights_of(ArrayRecord()) is None
    assert weights_of(Parameters([], "")) is None
    assert buffers_of(None) == ()


def test_counters_that_averaging_made_floats_are_noted():
    reference = Architecture.of(Weights({"n": np.array(3), "w": np.ones(2)}))
    averaged = ArrayRecord({"n": Array(np.array(3.0)), "w": Array(np.ones(2))})
    weights = weights_of(averaged, None, reference)
    assert dict(weights.cast_back) == {"n": "int64"}
    assert weights["n"].dtype == np.float64


def test_names_come_from_a_module_its_state_dict_or_a_list():
    module = torch.nn.Linear(2, 1)
    for source in (module, module.state_dict(), ["weight", "bias"]):
        assert RegistryOptions(parameter_names=source).names == ("weight", "bias")
    with pytest.raises(TypeError, match="a torch module, a state dict or a list"):
        RegistryOptions(parameter_names="weight")
