"""State out and in again, and back to before a rejected aggregate."""

import json
import random
from collections import deque
from copy import deepcopy

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import ndarrays_to_parameters
from flwr.server.strategy import FedAvgM as LegacyFedAvgM
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state_export import export_state
from flwr_registry.strategy.state_import import import_state
from flwr_registry.strategy.state_rollback import StateSnapshot

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    hnp.arrays(st.sampled_from(["f4", "i8", ">f8"]), st.integers(0, 3)),
    st.just(float("inf")),
)
KEYS = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(KEYS, inner, max_size=3),
        st.frozensets(st.integers(), max_size=3),
        st.sets(st.text(), max_size=3),
    ),
    max_leaves=8,
)


class Accountant:
    """Offers its state as Flower's accountant does."""

    def __init__(self):
        self.events = []

    def compose(self, event):
        self.events.append(event)

    def state_dict(self):
        return {"events": list(self.events)}

    def load_state_dict(self, state):
        self.events = list(state["events"])


def through_json(state):
    """The state as a checkpoint gives it back."""
    return type(state)(
        json.loads(json.dumps(state.tree, allow_nan=False)),
        {name: np.array(array) for name, array in state.arrays.items()},
    )


def same(left, right):
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    if isinstance(left, list | tuple | deque):
        return type(left) is type(right) and all(
            same(a, b) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    return type(left) is type(right) and left == right


@given(VALUES)
def test_a_users_attribute_comes_back_exactly(value):
    strategy, fresh = FedAvg(), FedAvg()
    strategy.memory = value
    state = export_state(strategy)
    assert state.left_out == ()
    import_state(fresh, through_json(state))
    assert same(fresh.memory, value)


def test_flowers_own_records_come_back_bit_for_bit():
    strategy, fresh = FedAvg(), FedAvg()
    strategy.arrays = ArrayRecord([np.arange(3.0), np.asfortranarray(np.ones((2, 3)))])
    strategy.metrics = MetricRecord({"a": 1, "b": [0.5]})
    strategy.config = ConfigRecord({"x": b"\x00", "y": "z"})
    strategy.parameters = ndarrays_to_parameters([np.ones(2)])
    import_state(fresh, through_json(export_state(strategy)))
    assert [each.data for each in fresh.arrays.values()] == [
        each.data for each in strategy.arrays.values()
    ]
    assert fresh.arrays["0"] == strategy.arrays["0"]
    assert (fresh.metrics, fresh.config) == (strategy.metrics, strategy.config)
    assert fresh.parameters == strategy.parameters


def test_nested_strategies_accountants_and_generators():
    def make():
        made = DifferentialPrivacyServerSideFixedClipping(FedAdam(), 1.0, 1.0, 2)
        made.accountant = Accountant()
        made.random = random.Random(3)
        made.generator = np.random.default_rng(3)
        return made

    strategy, fresh = make(), make()
    strategy.strategy.m_t = {"w": np.arange(3.0)}
    strategy.accountant.events.append(7)
    strategy.random.random()
    strategy.generator.random()
    import_state(fresh, through_json(export_state(strategy)))
    assert fresh.strategy.m_t["w"].tolist() == [0, 1, 2]
    assert fresh.accountant.events == [7]
    assert fresh.random.random() == strategy.random.random()
    assert fresh.generator.random() == strategy.generator.random()


def test_one_array_held_twice_is_stored_once():
    strategy = FedAvg()
    strategy.first = strategy.second = np.ones(3)
    assert len(export_state(strategy).arrays) == 1


def test_what_no_checkpoint_can_hold_is_named():
    strategy = FedAvg()
    strategy.lock = object()
    strategy.nested = {"deep": [object()]}
    assert export_state(strategy).left_out == ("lock", "nested")


def test_functions_stay_the_users():
    fresh = FedAvg(train_metrics_aggr_fn=lambda *_: MetricRecord())
    mine = fresh.train_metrics_aggr_fn
    import_state(fresh, through_json(export_state(FedAvg())))
    assert fresh.train_metrics_aggr_fn is mine


def test_a_state_that_does_not_fit_says_so():
    strategy = DifferentialPrivacyServerSideFixedClipping(FedAvg(), 1.0, 1.0, 2)
    plain = FedAvg()
    with pytest.raises(CheckpointError, match="build the strategy as it was"):
        import_state(plain, through_json(export_state(strategy)))


@given(VALUES, VALUES)
def test_rollback_brings_containers_back_in_place(value, other):
    strategy = FedAvg()
    held = {"value": value, "list": [value], "array": np.arange(4.0)}
    strategy.memory = held
    before = deepcopy(held)
    snapshot = StateSnapshot(strategy)
    strategy.memory["value"] = other
    strategy.memory["list"].append(other)
    strategy.memory["array"] += 1
    strategy.new = 3
    snapshot.restore()
    assert strategy.memory is held
    assert same(held, before)
    assert not hasattr(strategy, "new")


def test_rollback_reaches_nested_strategies_but_not_what_was_spent():
    strategy = DifferentialPrivacyServerSideFixedClipping(FedAdam(), 1.0, 1.0, 2)
    strategy.accountant = Accountant()
    strategy.strategy.m_t = {"w": np.ones(3)}
    snapshot = StateSnapshot(strategy)
    strategy.strategy.m_t = {"w": np.full(3, np.nan)}
    strategy.accountant.compose("release")
    snapshot.restore()
    assert strategy.strategy.m_t["w"].tolist() == [1, 1, 1]
    assert strategy.accountant.events == ["release"]


def test_rollback_of_random_generators():
    strategy = FedAvg()
    strategy.random, strategy.generator = random.Random(1), np.random.default_rng(1)
    snapshot = StateSnapshot(strategy)
    drawn = strategy.random.random(), strategy.generator.random()
    snapshot.restore()
    assert (strategy.random.random(), strategy.generator.random()) == drawn


def test_large_arrays_of_flowers_own_strategies_are_not_copied():
    large = np.zeros(2**18)
    strategy, legacy = FedAdam(), LegacyFedAvgM()
    strategy.m_t, legacy.momentum_vector = {"w": large}, [large]
    for each in (strategy, legacy):
        snapshot = StateSnapshot(each)
        large += 1
        snapshot.restore()
        assert large[0] == 1
        large -= 1
