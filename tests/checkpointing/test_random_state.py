"""The global generators go on as if nothing had happened."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.checkpointing import capture_random_state, restore_random_state
from flwr_registry.errors import CheckpointError


@pytest.fixture(autouse=True)
def _generators_are_left_as_they_were():
    before = random.getstate(), np.random.get_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])


def draw():
    return (
        random.sample(range(100), 5),
        random.gauss(0, 1),
        np.random.normal(size=3).tolist(),
        np.random.randint(0, 9, 3).tolist(),
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_what_is_drawn_next_is_the_same(seed, drawn_before):
    random.seed(seed)
    np.random.seed(seed)
    for _ in range(drawn_before):
        draw()
        random.gauss(0, 1)
        np.random.normal()
    state = json.loads(json.dumps(capture_random_state(), allow_nan=False))
    expected = draw()
    random.seed(0)
    np.random.seed(0)
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
    ],
)
def test_a_state_of_something_else_is_refused_and_changes_nothing(change):
    before = capture_random_state()
    with pytest.raises(CheckpointError, match="random state"):
        restore_random_state({**before, **change})
    assert capture_random_state() == before
