"""Every error at once, never an exception."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_registry.validation import Candidate, ModelValidator
from flwr_registry.weights import Architecture, Weights

LAYERS = {
    "a.weight": np.ones((2, 3), np.float32),
    "a.bias": np.zeros(3, np.float32),
    "norm.counter": np.array(17, np.int64),
}
METRICS = st.dictionaries(
    st.sampled_from(["loss", "val_loss", "accuracy", "acc", "n", "", "x y"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text("a1.-é ", max_size=5),
        st.binary(),
        st.lists(st.floats()),
        st.just({}),
        st.just(np.array([1.0, math.nan])),
    ),
)


def errors(arrays=LAYERS, metrics=None, num_nodes=None, opaque=False, **options):
    validator = ModelValidator(**{"reference": LAYERS, **options})
    weights = Weights(arrays, opaque=opaque)
    return validator.validate(Candidate(weights, metrics or {}, num_nodes))


def test_a_sound_model_has_no_errors():
    sound = {"train_loss": 0.1, "accuracy": 1.0, "lr": -3.0}
    assert errors(metrics=sound, num_nodes=1) == []


def test_all_errors_are_found_at_once():
    broken = {
        "a.weight": np.full((3, 2), np.nan, np.float32),
        "norm.counter": np.array([17, 18]),
        "extra": np.array([1.0, np.inf]),
    }
    found = errors(broken, {"loss": -1.0, "accuracy": 87.0}, num_nodes=0)
    assert found == [
        "missing arrays: 'a.bias'",
        "unexpected arrays: 'extra'",
        "array 'a.weight' has shape (3, 2), expected (2, 3)",
        "array 'norm.counter' has shape (2,), expected ()",
        "array 'a.weight' has 6 NaN among 6 values",
        "array 'extra' has 1 Inf among 2 values",
        "0 nodes contributed, at least 1 are needed",
        "metric 'accuracy' is 87.0, outside [0, 1]; if that is sound, pass "
        "metric_ranges={'accuracy': (None, None)}, in a run to its ModelValidator, or "
        "--any-value accuracy",
        "metric 'loss' is -1.0, outside [0, inf]; if that is sound, pass "
        "metric_ranges={'loss': (None, None)}, in a run to its ModelValidator, or "
        "--any-value loss",
    ]


def test_nan_and_inf_are_counted_together():
    broken = {**LAYERS, "a.bias": np.array([np.nan, np.inf, -np.inf], np.float32)}
    assert errors(broken) == ["array 'a.bias' has 1 NaN and 2 Inf among 3 values"]


def test_another_order_is_an_error():
    backwards = dict(reversed(LAYERS.items()))
    assert errors(backwards) == [
        "the arrays are in another order: 'norm.counter', 'a.bias', 'a.weight'"
    ]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1", "f2"])
def test_a_counter_may_become_any_number(dtype):
    assert errors({**LAYERS, "norm.counter": np.array(3, dtype)}) == []


@pytest.mark.parametrize(
    ("dtype", "sound"),
    [
        ("f4", True),
        ("f8", True),
        (">f4", True),
        ("f2", False),
        ("i4", False),
        ("c8", False),
        ("?", False),
    ],
)
def test_a_float_may_only_become_wider(dtype, sound):
    found = errors({**LAYERS, "a.bias": np.zeros(3, dtype)})
    assert (found == []) is sound
    assert all("expected float32" in error for error in found)


def test_many_names_are_cut_short():
    many = {f"layer{number:02}": np.zeros(1) for number in range(30)}
    (found,) = errors({**LAYERS, **many})
    assert found.endswith("'layer09' and 20 more")


@pytest.mark.parametrize(
    "name", ["loss", "val_loss", "eval-loss", "Loss", "train.loss", "valLoss"]
)
def test_losses_are_known_by_name(name):
    assert errors(metrics={name: -0.5})
    assert errors(metrics={name: math.nan})
    assert errors(metrics={name: math.inf})
    assert errors(metrics={name: [0.1, -0.1]})
    assert not errors(metrics={name: 123.0})


@pytest.mark.parametrize(
    "name", ["accuracy", "acc", "val_accuracy", "eval-acc", "acc1"]
)
def test_accuracies_are_known_by_name(name):
    assert errors(metrics={name: 1.01})
    assert errors(metrics={name: -0.01})
    assert not errors(metrics={name: 0.0})


@pytest.mark.parametrize("name", ["glossary", "lossless", "accident", "n"])
def test_other_metrics_are_free(name):
    assert errors(metrics={name: -5.0}) == errors(metrics={name: math.nan}) == []


@pytest.mark.parametrize(
    "metrics",
    [
        {"accuracy_percent": 87.0, "acc_seconds": 12.0, "loss_trend": -0.1},
        {"accuracy_count": 412, "accuracy_rank": 3, "loss_slope": -0.2},
        {"loss_log10": -1.5},
    ],
)
def test_what_a_loss_or_an_accuracy_is_only_a_part_of_is_free(metrics):
    assert errors(metrics=metrics) == []


def test_ranges_are_the_users_to_set():
    ranges = {"loss": (None, None), "accuracy": (0, 100), "f1": (0.5, None)}
    metrics = {"loss": -2.0, "accuracy": 87.0, "f1": 0.4}
    (found,) = errors(metrics=metrics, metric_ranges=ranges)
    assert found.startswith("metric 'f1' is 0.4, outside [0.5, inf]")


@pytest.mark.parametrize("value", [math.nan, -math.inf, -3.0])
def test_the_remedy_that_an_error_names_helps(value):
    (found,) = errors(metrics={"loss": value})
    remedy = found.partition("pass ")[2].partition(", in a run")[0]
    options = eval(f"dict({remedy})")
    assert errors(metrics={"loss": value}, **options) == []


class Hostile:
    """Is no number, and fails when it is asked for one."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def tolist(self):
        raise RuntimeError("no list")


@pytest.mark.parametrize("value", [Hostile(), [Hostile()], np.complex64(1), 10**400])
def test_metrics_that_are_no_numbers_are_passed_over(value):
    assert errors(metrics={"loss": value}) == []


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor(-1.0, requires_grad=True),
        torch.tensor([1.0, -1.0], dtype=torch.bfloat16),
        np.float32(-1),
        [[1.0], [-1.0]],
    ],
)
def test_numbers_are_found_in_tensors_and_lists(value):
    (found,) = errors(metrics={"loss": value})
    assert "metric 'loss' is -1.0" in found


def test_metrics_may_be_missing():
    assert ModelValidator().validate(Candidate(Weights(LAYERS), None)) == []


@pytest.mark.parametrize("as_kept", [np.asarray, torch.as_tensor])
def test_a_state_dict_and_its_metrics_are_enough(as_kept):
    validator = ModelValidator(reference=LAYERS)
    sound = {name: as_kept(array) for name, array in LAYERS.items()}
    assert validator.validate(sound, {"val_loss": 0.3, "val_accuracy": 0.9}) == []
    broken = {"a.weight": as_kept(np.full((3, 2), np.nan, np.float32))}
    found = validator.validate(broken, {"val_loss": -1.0, "val_accuracy": 87.0})
    assert found == errors(
        {name: np.asarray(kept) for name, kept in broken.items()},
        {"val_loss": -1.0, "val_accuracy": 87.0},
    )
    assert len(found) == 5


def test_tensors_that_no_file_can_hold_are_an_error_beside_the_others():
    unreadable = {"w": torch.zeros(2, dtype=torch.bfloat16)}
    first, second = ModelValidator().validate(unreadable, {"loss": -1.0})
    assert "bfloat16" in first
    assert "metric 'loss'" in second


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="cannot take weights from a list"):
        ModelValidator().validate([np.ones(2)], {})
    with pytest.raises(TypeError, match="brings its metrics"):
        ModelValidator().validate(Candidate(Weights(LAYERS)), {"loss": 1.0})


def test_a_validator_can_be_copied_and_sent():
    validator = ModelValidator(reference=LAYERS, metric_ranges={"f1": (0, 1)})
    assert copy.deepcopy(validator) == validator
    assert pickle.loads(pickle.dumps(validator)) == validator


def test_the_fewest_nodes():
    assert errors(num_nodes=2, min_nodes=3) == [
        "2 nodes contributed, at least 3 are needed"
    ]
    assert errors(num_nodes=None, min_nodes=3) == []


def test_a_users_own_check():
    def no_large_bias(candidate):
        if np.abs(candidate.weights["a.bias"]).max() > 10:
            yield "the bias explodes"

    assert errors(check=no_large_bias) == []
    large = {**LAYERS, "a.bias": np.full(3, 11, np.float32)}
    assert errors(large, check=no_large_bias) == ["the bias explodes"]


@pytest.mark.parametrize("answer", [None, [], (), "bad"])
def test_a_check_may_answer_in_many_ways(answer):
    assert errors(check=lambda _: answer) == (["bad"] if answer == "bad" else [])


def test_a_check_that_fails_is_an_error_not_an_exception():
    def broken(candidate):
        raise KeyError("bias")

    assert errors(check=broken) == ["the check broken failed itself: KeyError: 'bias'"]


def test_opaque_models_pass_and_mixtures_do_not():
    model = {"0": np.frombuffer(b'{"learner": {}}', np.uint8)}
    opaque = Architecture((), opaque=True)
    assert errors(model, opaque=True, reference=opaque) == []
    assert errors(model, opaque=True) == [
        "the model is a serialized model, expected arrays"
    ]
    assert errors(reference=opaque) == [
        "the model is arrays, expected a serialized model"
    ]


def test_without_a_reference_anything_finite_passes():
    assert errors({"x": np.ones(2)}, reference=None) == []


def in_a_run(arrays, before=None, settled=LAYERS, **options):
    candidate = Candidate(
        Weights(arrays),
        before=None if before is None else Weights(before),
        settled=None if settled is None else Architecture.of(Weights(settled)),
    )
    return ModelValidator(**options).validate(candidate)


def test_a_given_reference_goes_before_that_of_the_run():
    other = {"x": np.ones(2)}
    assert in_a_run(LAYERS, settled=other, reference=LAYERS) == []
    assert in_a_run(other, settled=other, reference=LAYERS) != []


def test_before_the_first_aggregate_any_structure_passes():
    assert in_a_run({"x": np.ones(2)}, settled=None) == []


def test_later_aggregates_have_the_names_order_and_shapes_of_the_first():
    assert in_a_run({**LAYERS, "x": np.ones(1)}) == ["unexpected arrays: 'x'"]
    assert in_a_run(dict(list(LAYERS.items())[:2])) == [
        "missing arrays: 'norm.counter'"
    ]
    assert in_a_run(dict(reversed(LAYERS.items()))) != []
    assert in_a_run({**LAYERS, "a.bias": np.zeros(4, np.float32)}) == [
        "array 'a.bias' has shape (4,), expected (3,)"
    ]


@pytest.mark.parametrize(
    ("name", "dtype", "sound"),
    [
        ("a.bias", "f8", True),
        ("a.bias", "f2", True),
        ("a.bias", ">f4", True),
        ("a.bias", "i4", False),
        ("a.bias", "c8", False),
        ("a.bias", "?", False),
        ("a.bias", "U3", False),
        ("norm.counter", "i2", True),
        ("norm.counter", "f2", True),
        ("norm.counter", "c8", False),
    ],
)
def test_in_a_run_a_dtype_keeps_its_kind(name, dtype, sound):
    found = in_a_run({**LAYERS, name: np.zeros(LAYERS[name].shape, dtype)})
    assert found == (
        []
        if sound
        else [
            f"array '{name}' has dtype {np.dtype(dtype)}, expected {LAYERS[name].dtype}"
        ]
    )


MASK = np.array([0, -np.inf, np.nan])


def test_what_was_not_finite_before_may_stay_so():
    assert in_a_run({"m": MASK}, {"m": MASK}, None) == []
    assert in_a_run({"m": -MASK}, {"m": MASK.astype(">f4")}, None) == []
    worse = np.array([np.nan, -np.inf, np.nan])
    assert in_a_run({"m": worse}, {"m": MASK}, None) == [
        "array 'm' has 1 NaN among 3 values"
    ]
    assert in_a_run({"m": MASK}, {"m": np.zeros(3, np.int64)}, None) == [
        "array 'm' has 1 NaN and 1 Inf among 3 values"
    ]


def test_what_has_no_counterpart_may_be_anything():
    for before in ({"x": MASK}, {"m": MASK[:2]}, {"m": np.array(["a", "b", "c"])}):
        assert in_a_run({"m": MASK}, before, None) == []


def test_without_a_model_before_all_has_to_be_finite():
    assert in_a_run({"m": MASK}, None, None) != []


def test_a_module_can_be_the_reference():
    module = torch.nn.Linear(3, 2)
    validator = ModelValidator(reference=module)
    assert validator.validate(Candidate(Weights.of(module))) == []
    assert validator.validate(Candidate(Weights({"weight": np.ones((2, 3))})))


@pytest.mark.parametrize(
    "options",
    [
        {"min_nodes": -1},
        {"min_nodes": 1.5},
        {"metric_ranges": {"loss": 3}},
        {"metric_ranges": {"loss": (0, 1, 2)}},
        {"metric_ranges": {"loss": ("a", None)}},
        {"reference": 3},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises((TypeError, ValueError)):
        ModelValidator(**options)


@given(
    st.dictionaries(
        st.sampled_from([*LAYERS, "x"]),
        st.sampled_from(["f2", "f4", "f8", "i8", "?", "c8", "U1"]).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
        ),
    ),
    METRICS,
    st.one_of(st.none(), st.integers(0, 3)),
)
def test_whatever_comes_it_answers(arrays, metrics, num_nodes):
    found = errors(arrays, metrics, num_nodes)
    assert all(isinstance(error, str) for error in found)
    finite = all(
        np.isfinite(array).all()
        for array in arrays.values()
        if array.dtype.kind in "fc"
    )
    assert finite is not any("values" in error for error in found)
