"""Weights: names, views, where they come from."""

import copy
import pickle

import numpy as np
import pytest
import torch

from flwr_registry.errors import WeightsFormatError
from flwr_registry.weights import Weights


def test_arrays_are_views_that_nobody_can_change():
    array = np.arange(4.0)
    weights = Weights({"w": array})
    assert np.shares_memory(weights["w"], array)
    with pytest.raises(ValueError, match="read-only"):
        weights["w"][0] = 9
    array[0] = 5
    assert weights["w"][0] == 5


def test_order_length_and_size():
    weights = Weights({"b": np.zeros(3), "a": np.zeros((2, 2), np.float32)})
    assert list(weights) == ["b", "a"]
    assert (len(weights), weights.nbytes) == (2, 24 + 16)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/../b",
        "/abs",
        "\\abs",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "x" * 1025,
        "__metadata__",
    ],
)
def test_hostile_names_are_refused(name):
    with pytest.raises(WeightsFormatError, match="cannot name an array"):
        Weights({name: np.zeros(1)})


@pytest.mark.parametrize("name", ["layers.0.weight", "dense/kernel:0", "0", "größe"])
def test_names_that_frameworks_give_are_taken(name):
    assert list(Weights({name: np.zeros(1)})) == [name]


@pytest.mark.parametrize("array", [np.array([{}]), np.zeros(1, [("a", "f4")])])
def test_what_only_pickle_could_store_is_refused(array):
    with pytest.raises(WeightsFormatError, match="only pickle"):
        Weights({"w": array})


def test_of_a_module_and_its_state_dict():
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    weights = Weights.of(module)
    assert list(weights) == list(module.state_dict())
    assert np.shares_memory(weights["0.weight"], module[0].weight.detach().numpy())
    assert Weights.of(weights) is weights
    assert list(Weights.of(module.state_dict())) == list(weights)


def test_of_something_else_says_what_to_give():
    with pytest.raises(TypeError, match="a torch module or its state dict"):
        Weights.of([np.zeros(1)])


def test_bfloat16_says_what_to_do():
    with pytest.raises(WeightsFormatError, match=r"\.float\(\)"):
        Weights.of({"w": torch.zeros(2, dtype=torch.bfloat16)})


def test_to_torch_casts_averaged_counters_back_and_copies():
    module = torch.nn.BatchNorm1d(3)
    arrays = {
        name: np.asarray(value * 1.0) for name, value in Weights.of(module).items()
    }
    arrays["num_batches_tracked"] = np.float64(17.0).reshape(())
    weights = Weights(arrays, cast_back={"num_batches_tracked": "int64"})
    state_dict = weights.to_torch()
    assert state_dict["num_batches_tracked"].dtype == torch.int64
    module.load_state_dict(state_dict)
    assert int(module.num_batches_tracked) == 17
    state_dict["weight"] += 1
    assert weights["weight"][0] == 1


def test_to_torch_reads_other_byte_orders():
    weights = Weights({"w": np.arange(3, dtype=">f4")})
    assert weights.to_torch()["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_copies_are_weights(copied):
    weights = Weights({"n": np.array(2.0)}, opaque=False, cast_back={"n": "int64"})
    other = copied(weights)
    assert dict(other.cast_back) == {"n": "int64"}
    assert other["n"] == 2
    assert not other["n"].flags.writeable
