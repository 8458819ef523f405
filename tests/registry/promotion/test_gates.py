"""Gates are values that let a version through or name themselves."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flwr_registry import (
    BetterThanProduction,
    FewestContributors,
    MetricAtLeast,
    MetricAtMost,
    PrivacyBudgetAtMost,
)
from flwr_registry.registry import PromotionGate


@pytest.fixture
def version(add):
    return add(1, metrics={"accuracy": 0.9, "loss": 0.3}, privacy=(2.0, 1e-5))


def worse(version):
    return replace(
        version,
        version="0.9.0",
        metrics={"evaluate_serverapp": {"accuracy": 0.8, "loss": 0.4}},
    )


@pytest.mark.parametrize(
    "gate",
    [
        MetricAtLeast("accuracy", 0.9),
        MetricAtMost("loss", 0.3),
        BetterThanProduction("accuracy"),
        BetterThanProduction("accuracy", margin=0.05),
        BetterThanProduction("loss"),
        BetterThanProduction("loss", mode="min"),
        FewestContributors(0),
        PrivacyBudgetAtMost(2.0),
        PrivacyBudgetAtMost(2.0, 1e-5),
    ],
)
def test_a_version_that_suffices_passes(version, gate):
    assert isinstance(gate, PromotionGate)
    assert gate.refusal(version, worse(version)) is None
    assert gate.refusal(version, None) is None


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            MetricAtLeast("accuracy", 0.91),
            "accuracy is 0.9 but has to be at least 0.91",
        ),
        (MetricAtMost("loss", 0.29), "loss is 0.3 but has to be at most 0.29"),
        (MetricAtLeast("f1", 0.5), "no metric f1 (it has accuracy, loss)"),
        (
            BetterThanProduction("accuracy", margin=0.2),
            "in production 0.8: it has to be higher by at least 0.2",
        ),
        (
            BetterThanProduction("accuracy", mode="min"),
            "in production 0.8: it has to be lower",
        ),
        (BetterThanProduction("f1"), "no metric f1"),
        (
            BetterThanProduction("loss", mode="max"),
            "in production 0.4: it has to be higher",
        ),
        (FewestContributors(3), "0 nodes contributed, at least 3 have to"),
        (PrivacyBudgetAtMost(1.0), "epsilon 2 is spent but has to be at most 1"),
        (PrivacyBudgetAtMost(2.0, 1e-6), "delta is 1e-05 but has to be at most 1e-06"),
    ],
)
def test_one_that_does_not_is_refused_in_words(version, gate, said):
    refusal = gate.refusal(version, worse(version))
    assert said in refusal
    assert type(gate).__name__ not in refusal and "=" not in refusal


def test_equal_is_not_better(version):
    assert BetterThanProduction("accuracy").refusal(version, version) is not None


def test_an_unknown_budget_is_refused(add):
    assert "no privacy budget" in PrivacyBudgetAtMost(9.0).refusal(add(1), None)


def having(version, name, value):
    return replace(version, metrics={"evaluate_serverapp": {name: value}})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.decimals(-100, 100, places=4),
    st.decimals(0, 10, places=4).filter(bool),
    st.sampled_from(["max", "min"]),
    st.booleans(),
)
def test_a_margin_is_what_decimal_numbers_say(version, known, margin, mode, narrow):
    gate = BetterThanProduction("accuracy", float(margin), mode)
    number = np.float32 if narrow else float
    for excess in (Decimal(0), Decimal("0.001"), Decimal("-0.0001")):
        gain = margin + excess
        value = known + gain if mode == "max" else known - gain
        refusal = gate.refusal(
            having(version, "accuracy", float(number(value))),
            having(version, "accuracy", float(number(known))),
        )
        assert (refusal is None) == (gain > 0 and gain >= margin)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.decimals(-100, 100, places=4), st.booleans())
def test_a_bound_lets_its_own_value_through(version, bound, narrow):
    value = float(np.float32(float(bound)) if narrow else bound)
    measured = having(version, "accuracy", value)
    assert MetricAtLeast("accuracy", float(bound)).refusal(measured, None) is None
    assert MetricAtMost("accuracy", float(bound)).refusal(measured, None) is None
    above = MetricAtLeast("accuracy", float(bound) + 0.001)
    below = MetricAtMost("accuracy", float(bound) - 0.001)
    assert above.refusal(measured, None) and below.refusal(measured, None)


def test_a_refusal_shows_the_numbers_that_differ(version):
    refusal = BetterThanProduction("accuracy", margin=0.01).refusal(
        having(version, "accuracy", 0.56999999), having(version, "accuracy", 0.56)
    )
    assert "accuracy is 0.56999999" in refusal and "in production 0.56" in refusal


@pytest.mark.parametrize(
    "options", [{"mode": "best"}, {"margin": -1.0}, {"margin": float("nan")}]
)
def test_a_gate_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError):
        BetterThanProduction("accuracy", **options)
