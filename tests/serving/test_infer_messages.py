"""The protocol's messages: what is written is read, and nothing else."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flwr_registry.errors import InvalidInputError
from flwr_registry.serving.infer_messages import json_object, read_infer_request
from flwr_registry.serving.input_schema import DATATYPES, datatype_of


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(list(DATATYPES.values())))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return draw(arrays.arrays(dtype, shape, elements=finite))


def described(name, array):
    return {
        "name": name,
        "datatype": datatype_of(array.dtype),
        "shape": list(array.shape),
    }


@given(st.dictionaries(st.text(max_size=20), tensors(), min_size=1, max_size=3))
def test_json_and_raw_tensors_say_the_same(inputs):
    as_json = [
        {**described(name, each), "data": each.ravel().tolist()}
        for name, each in inputs.items()
    ]
    sizes = [
        {**described(name, each), "parameters": {"binary_data_size": each.nbytes}}
        for name, each in inputs.items()
    ]
    head = json.dumps({"inputs": sizes}).encode()
    raw = head + b"".join(each.tobytes() for each in inputs.values())
    for request in (
        read_infer_request(json.dumps({"inputs": as_json}).encode()),
        read_infer_request(raw, len(head)),
    ):
        assert list(request.inputs) == list(inputs)
        for name, each in inputs.items():
            assert request.inputs[name].dtype == each.dtype
            np.testing.assert_array_equal(request.inputs[name], each)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "datatype", "shape", "data", "parameters", "inputs"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.none() | st.integers(0, 50))
def test_whatever_comes_is_read_or_refused(document, length):
    body = json.dumps({"inputs": document}).encode()
    with suppress(InvalidInputError):
        read_infer_request(body, length)


@given(st.binary(max_size=60), st.none() | st.integers(0, 80))
def test_whatever_bytes_come_are_read_or_refused(body, length):
    with suppress(InvalidInputError):
        read_infer_request(body, length)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"shape": [2**62, 2**62], "data": [1]}, "needs"),
        ({"shape": [0, 2**62], "data": []}, "impossible shape"),
        ({"shape": [1] * 70, "data": [1]}, "impossible shape"),
        ({"shape": [True], "data": [1]}, "no list of lengths"),
        ({"shape": [1], "data": [10**400]}, "no numbers"),
        ({"shape": [1], "data": [{}]}, "no numbers"),
        ({"shape": [1], "data": "text"}, "no numbers"),
        ({"shape": [2], "parameters": {"binary_data_size": 8}}, "has not the 8 bytes"),
        ({"shape": [2], "parameters": {"binary_data_size": 8.0}}, "no whole number"),
        ({"shape": [2], "parameters": {"binary_data_size": True}}, "no whole number"),
        ({"shape": [2], "parameters": []}, "parameters is no JSON object"),
        ({"shape": [10**4000] * 2, "data": [1]}, "no whole number"),
        ({"shape": [2**60] * 200, "data": [1]}, "impossible shape"),
        ({"shape": [300_000_000, 0], "data": []}, "at most 100000 examples"),
    ],
)
def test_hostile_tensors_are_refused(change, problem):
    tensor = {"name": "x", "datatype": "FP32", **change}
    with pytest.raises(InvalidInputError, match=problem):
        read_infer_request(json.dumps({"inputs": [tensor]}).encode())


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"NaN", b'{"a": NaN}', b"[" * 100_000, b"\xff", b'{"a": Infinity}'],
)
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidInputError, match="the body is no"):
        json_object(text)
