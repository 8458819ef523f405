"""Inputs are made to fit, or refused by name."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flwr_registry.errors import InvalidInputError
from flwr_registry.serving.input_schema import (
    DATATYPES,
    InputSchema,
    TensorSchema,
    named_inputs,
)

ROWS = [[1.0, 2.0], [3.0, 4.0]]
SCHEMA = InputSchema.of({"x": np.zeros((1, 2), np.float32)})


@pytest.mark.parametrize(
    "given_inputs",
    [
        ROWS,
        json.dumps(ROWS),
        json.dumps({"x": ROWS}),
        np.array(ROWS),
        np.array(ROWS, np.int16),
        torch.tensor(ROWS),
        {"x": torch.tensor(ROWS, requires_grad=True)},
    ],
)
def test_numpy_torch_and_json_are_the_same(given_inputs):
    made = named_inputs(given_inputs, SCHEMA)["x"]
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, np.array(ROWS, np.float32))


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"y": ROWS}, "unknown input 'y': the model takes x"),
        ({}, "no input"),
        ([1.0, 2.0], r"input 'x' has shape \[2\], expected \[any, 2\]"),
        ([[1.0, 2.0, 3.0]], r"input 'x' has shape \[1, 3\], expected \[any, 2\]"),
        ([["a", "b"]], "input 'x' has dtype <U1: numbers are needed"),
        ([[1.0], [1.0, 2.0]], "input 'x' is no array of numbers, or its rows differ"),
        ([[None, 1.0]], "input 'x' has dtype object"),
        ("{", "no sound JSON"),
        (np.zeros((1, 2), complex), "input 'x' has dtype complex128"),
    ],
)
def test_what_does_not_fit_is_named(inputs, problem):
    with pytest.raises(InvalidInputError, match=problem):
        named_inputs(inputs, SCHEMA)


def test_floats_never_become_integers_and_nothing_overflows():
    schema = TensorSchema("n", np.dtype(np.int8), (-1,))
    np.testing.assert_array_equal(schema.fit([1, -2]), np.array([1, -2], np.int8))
    with pytest.raises(InvalidInputError, match="input 'n' has dtype float64"):
        schema.fit([1.5])
    with pytest.raises(InvalidInputError, match="values that int8 cannot hold"):
        schema.fit([300])


def test_of_unknown_inputs_lists_are_floats_and_arrays_stay_what_they_are():
    assert named_inputs([[1, 2]], None)["input"].dtype == np.float32
    assert named_inputs({"x": [[1.5]]}, None)["x"].dtype == np.float32
    assert named_inputs(np.ones((1, 2), np.int64), None)["input"].dtype == np.int64


def test_inputs_have_the_same_number_of_examples():
    with pytest.raises(InvalidInputError, match="'a' has 2, 'b' has 3"):
        named_inputs({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, None)
    with pytest.raises(InvalidInputError, match="input 'a' is a single number"):
        named_inputs({"a": 1.0}, None)


@given(
    arrays.arrays(
        st.sampled_from(list(DATATYPES.values())),
        arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4),
    )
)
def test_a_schema_is_recorded_and_read_again(example):
    schema = InputSchema.of({"x": example})
    again = InputSchema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    fitted = again.fit({"x": example})["x"]
    np.testing.assert_array_equal(fitted, example)
    assert schema.zeros()["x"].shape == (1, *example.shape[1:])


@pytest.mark.parametrize(
    "described",
    [None, {}, [], [1], [{"name": "x"}], [{"name": "x", "datatype": "X", "shape": []}]],
)
def test_what_is_no_schema_is_refused(described):
    with pytest.raises(InvalidInputError, match="an input schema"):
        InputSchema.from_json(described)
