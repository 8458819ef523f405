"""Live values against a reference."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from flwr_registry.records import DriftKind
from flwr_registry.validation import LiveDistribution, TensorReference

RANDOM = np.random.default_rng(1)
REFERENCE = TensorReference.of(RANDOM.normal(size=(2000, 3)))


def live(values, reference=REFERENCE, **options):
    made = LiveDistribution(reference, **options)
    for batch in np.array_split(values, 10):
        made.update(batch)
    return made


def test_the_same_distribution_is_no_finding():
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=(500, 3))
        assert live(values).findings(DriftKind.INPUT, "x") == []


def test_a_shift_of_one_feature_is_found_and_named():
    values = RANDOM.normal(size=(500, 3))
    values[:, 1] += 1
    (finding,) = live(values).findings(DriftKind.INPUT, "x")
    assert (finding.kind, finding.subject) == (DriftKind.INPUT, "x")
    assert "feature 1," in finding.message
    assert finding.statistic > finding.threshold


def test_distances_are_near_those_of_the_samples():
    values = RANDOM.normal(0.5, 1.5, size=(4000, 1))
    sample = RANDOM.normal(size=(4000, 1))
    found = live(values, TensorReference.of(sample), window=10**9)
    exact = ks_2samp(values[:, 0], sample[:, 0]).statistic
    assert found.kolmogorov_smirnov()[0] == pytest.approx(exact, abs=0.03)
    assert found.stability_index()[0] > 0.25


def test_few_examples_are_not_judged():
    values = np.full((100, 3), 9.0)
    assert live(values).findings(DriftKind.INPUT, "x") == []


def test_what_is_old_fades():
    made = live(np.full((4000, 3), 9.0), window=1000)
    assert made.num_examples <= 1000
    for _ in range(20):
        made.update(RANDOM.normal(size=(1000, 3)))
    assert made.findings(DriftKind.INPUT, "x") == []


def test_wide_tensors_are_taken_as_one_feature():
    images = RANDOM.random((300, 32, 32))
    reference = TensorReference.of(images)
    assert reference.borders.shape == (1, 9)
    assert live(images, reference).findings(DriftKind.INPUT, "x") == []
    assert live(images / 2, reference).findings(DriftKind.INPUT, "x") != []


def test_values_of_another_shape_are_left_out():
    made = LiveDistribution(REFERENCE)
    made.update(np.zeros((300, 4)))
    made.update(np.zeros((0, 3)))
    assert made.num_examples == 0


def test_constant_features_do_not_divide_by_zero():
    reference = TensorReference.of(np.zeros((300, 2)))
    assert live(np.zeros((300, 2)), reference).findings(DriftKind.INPUT, "x") == []
    assert live(np.ones((300, 2)), reference).findings(DriftKind.INPUT, "x") != []


@pytest.mark.parametrize("values", [np.zeros((10, 2)), np.full((300, 2), np.nan)])
def test_a_reference_needs_enough_finite_numbers(values):
    with pytest.raises(ValueError, match="at least 200 examples of finite numbers"):
        TensorReference.of(values)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_reference_is_plain_data_and_back(seed, features):
    random = np.random.default_rng(seed)
    made = TensorReference.of(random.normal(size=(250, features)))
    again = TensorReference.from_json(json.loads(json.dumps(made.to_json())))
    np.testing.assert_array_equal(again.borders, made.borders)
    np.testing.assert_allclose(again.shares.sum(1), 1)
