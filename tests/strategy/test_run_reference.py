"""What a run's models look like: noted once, and told apart from what differs."""

import logging

import numpy as np
from checkpointing.samples import content
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.strategy.round_validation import RoundValidation
from flwr_registry.strategy.run_reference import RunReference
from flwr_registry.strategy.verdict import Consequence, Verdict
from flwr_registry.weights import Architecture, Weights

MODELS = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        lambda dtype, shape: np.zeros(shape, dtype),
        st.sampled_from(["f2", "f4", ">f4", "f8", "i4", "i8", "?", "c8", "c16"]),
        st.sampled_from([(), (2,), (2, 1)]),
    ),
).map(Weights)


def settled(*models):
    reference = RunReference()
    for weights in models:
        reference = reference.settled_by(weights)
    return reference


@given(MODELS, MODELS, MODELS)
def test_the_first_aggregate_settles_it_for_good(initial, first, later):
    begun = RunReference().given(initial).beginning_with(initial)
    assert begun.settled is None
    found = begun.settled_by(first)
    assert found.settled == Architecture.of(first, Architecture.of(initial))
    assert found.settled_by(later) == found.beginning_with(later) == found
    assert found.given(later) == found


@given(MODELS, MODELS)
def test_it_tells_a_difference_where_there_is_one(initial, first):
    begun = RunReference().beginning_with(initial)
    same = begun.settled_by(first).settled.fingerprint == begun.architecture.fingerprint
    assert (not list(begun.differences(first))) is same
    assert not list(begun.differences(initial))


@given(MODELS, MODELS)
def test_a_checkpoint_gives_it_back(initial, first):
    for reference in (
        RunReference().given(initial).beginning_with(initial),
        RunReference().given(initial).beginning_with(initial).settled_by(first),
    ):
        kept = content(
            2,
            fingerprint=reference.given_fingerprint,
            architecture=reference.architecture,
            is_settled=reference.is_settled,
        )
        assert RunReference.of(kept, None) == reference


def test_an_earlier_checkpoint_tells_by_its_weights_and_rounds():
    weights = Weights({"w": np.zeros(3)}, cast_back={"w": "float32"})
    old = content(2, architecture=None, is_settled=False)
    found = RunReference.of(old, weights)
    assert found.settled == Architecture.of(weights)
    none_yet = content(2, architecture=None, is_settled=False, rounds={})
    assert RunReference.of(none_yet, weights).settled is None
    assert RunReference.of(none_yet, weights).architecture == found.settled
    assert RunReference.of(old, None).settled is None


def test_log_lines_stay_short_however_many_arrays_differ(caplog):
    caplog.set_level(logging.INFO, "flwr")
    initial = Weights({f"layer{n}": np.zeros(2, np.float16) for n in range(5000)})
    found = {name: np.zeros((n % 2) + 2) for n, name in enumerate(initial)}
    validation = RoundValidation(None)
    validation.begin_with(initial)
    widened = Weights(found, cast_back=dict.fromkeys(found, "float16"))
    validation.conclude(widened, Verdict(), Consequence.GO_ON)
    many = Verdict(unfit=tuple(f"error {n}" for n in range(5000)))
    for _ in range(9):
        validation.conclude(widened, many, Consequence.REJECT)
    assert len(caplog.messages) == 4
    assert "and 2492 more" in caplog.messages[0]
    assert [f"last {n} rounds" in caplog.text for n in (2, 4, 8, 9)] == [
        True,
        True,
        True,
        False,
    ]
    assert max(map(len, caplog.messages)) < 1500
