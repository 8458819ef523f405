"""The global generators go on as if nothing had happened."""

import json
import random
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.checkpointing import capture_random_state, restore_random_state
from flwr_registry.errors import CheckpointError


@pytest.fixture(autouse=True)
def _generators_are_left_as_they_were():
    before = random.getstate(), np.random.get_bit_generator()
    of_numpy, of_torch = np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(before[0])
    np.random.set_bit_generator(before[1])
    np.random.set_state(of_numpy)
    torch.set_rng_state(of_torch)


def draw():
    return (
        random.sample(range(100), 5),
        random.gauss(0, 1),
        np.random.normal(size=3).tolist(),
        np.random.randint(0, 9, 3).tolist(),
        torch.randn(3).tolist(),
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_what_is_drawn_next_is_the_same(seed, drawn_before):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    for _ in range(drawn_before):
        draw()
        random.gauss(0, 1)
        np.random.normal()
    state = json.loads(json.dumps(capture_random_state(), allow_nan=False))
    expected = draw()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    restore_random_state(state)
    assert draw() == expected


@pytest.mark.parametrize(
    "change",
    [
        {"python": [99, [1], None]},
        {"python": None},
        {"numpy": ["PCG", [1], 0, 0, 0.0]},
        {"numpy": ["MT19937", [1, 2], 0, 0, 0.0]},
        {"numpy": []},
        {"numpy": {"bit_generator": "PCG64", "state": {}}},
        {"torch": "AAAA"},
        {"torch": "no base64"},
        {"torch": 1},
    ],
)
def test_a_state_of_something_else_is_refused_and_changes_nothing(change):
    before = capture_random_state()
    with pytest.raises(CheckpointError, match="random state"):
        restore_random_state({**before, **change})
    assert capture_random_state() == before


@pytest.mark.parametrize("bits", [np.random.SFC64, np.random.Philox, np.random.PCG64])
def test_another_global_generator_of_numpy_goes_on_too(bits):
    np.random.set_bit_generator(bits(1))
    np.random.normal()
    state = json.loads(json.dumps(capture_random_state(), allow_nan=False))
    expected = draw()
    np.random.set_bit_generator(bits(2))
    restore_random_state(state)
    assert draw() == expected


def test_a_state_from_before_torch_was_captured_leaves_torch_alone():
    state = capture_random_state()
    del state["torch"]
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    restore_random_state(state)
    assert torch.equal(torch.get_rng_state(), expected)


def test_without_torch_its_state_is_told(monkeypatch, caplog):
    state = capture_random_state()
    monkeypatch.delitem(sys.modules, "torch")
    assert "torch" not in capture_random_state()
    with caplog.at_level("WARNING", "flwr"):
        restore_random_state(state)
    assert "import it before the run begins" in caplog.text
