"""Gates are values that let a version through or name themselves."""

from dataclasses import replace

import pytest

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
        (MetricAtLeast("accuracy", 0.91), "accuracy is 0.9"),
        (MetricAtMost("loss", 0.29), "loss is 0.3"),
        (MetricAtLeast("f1", 0.5), "no metric f1 (it has accuracy, loss)"),
        (BetterThanProduction("accuracy", margin=0.2), "in production 0.8"),
        (BetterThanProduction("accuracy", mode="min"), "in production 0.8"),
        (BetterThanProduction("f1"), "no metric f1"),
        (FewestContributors(3), "0 nodes contributed"),
        (PrivacyBudgetAtMost(1.0), "epsilon 2 is spent"),
        (PrivacyBudgetAtMost(2.0, 1e-6), "delta is 1e-05"),
    ],
)
def test_one_that_does_not_is_refused_by_name(version, gate, said):
    refusal = gate.refusal(version, worse(version))
    assert refusal.startswith(type(gate).__name__)
    assert said in refusal


def test_equal_is_not_better(version):
    assert BetterThanProduction("accuracy").refusal(version, version) is not None


def test_an_unknown_budget_is_refused(add):
    assert "no privacy budget" in PrivacyBudgetAtMost(9.0).refusal(add(1), None)


@pytest.mark.parametrize("options", [{"mode": "best"}, {"margin": -1.0}])
def test_a_gate_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError):
        BetterThanProduction("accuracy", **options)
