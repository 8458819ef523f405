"""Findings and baselines, kept and asked for."""

import numpy as np
import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.errors import ModelNotFoundError
from flwr_registry.records import (
    DriftFinding,
    DriftKind,
    DriftSeverity,
    MetricSource,
    RunProvenance,
)
from flwr_registry.validation import TensorReference

FINDING = DriftFinding(
    kind=DriftKind.PERFORMANCE,
    subject="accuracy",
    since="round 6",
    found="round 8",
    statistic=float("inf"),
    threshold=0.1,
    severity=DriftSeverity.CRITICAL,
    message="accuracy is getting worse",
)


@pytest.fixture
def run(registry):
    """A run whose accuracy falls from round 12 on."""
    made = registry.start_run(RunProvenance("trial", "digits"))
    for number in range(1, 16):
        version = registry.register(
            weights_of(number), model="digits", run=made, facts=facts_of(number, "a")
        )
        accuracy = {"accuracy": 0.9 if number < 12 else 0.6}
        source = MetricSource.EVALUATE_SERVERAPP
        registry.record_metrics(made, number, source, accuracy, measured=version)
    return made


@pytest.mark.slow
def test_what_was_found_is_listed_newest_first(registry, run):
    version = registry.get("digits:1.3.0")
    (first,) = registry.record_drift("digits", [FINDING], version=version, run=run)
    registry.record_drift("digits", [FINDING])
    newest, oldest = registry.drift_findings("digits")
    assert oldest == first
    assert (oldest.version, oldest.run_name) == ("1.3.0", "trial")
    assert (newest.version, newest.run_name) == (None, None)
    assert oldest.finding.statistic == 1e308
    assert oldest.finding.message == FINDING.message
    assert registry.drift_findings("digits", limit=1) == [newest]
    with pytest.raises(ModelNotFoundError):
        registry.drift_findings("other")


@pytest.mark.slow
def test_a_run_is_judged_by_what_it_measured(registry, run):
    (finding,) = registry.drift("digits")
    assert (finding.subject, finding.since) == ("accuracy", "round 12")
    assert registry.drift_findings("digits") == []


@pytest.mark.slow
def test_without_a_run_of_its_own_the_newest_of_the_model_is_judged(registry, run):
    registry.register(weights_of(0), model="digits")
    registry.start_run(RunProvenance("young", "digits"))
    for reference in ("digits", "digits:1.15.0"):
        assert registry.run_to_watch(reference) == run
        (finding,) = registry.drift(reference)
        assert finding.since == "round 12"
    newer = registry.start_run(RunProvenance("newer", "digits"))
    registry.register(weights_of(1), model="digits", run=newer, facts=facts_of(1, "a"))
    assert registry.run_to_watch("digits") == newer
    assert registry.run_to_watch("digits:1.14.0") == run
    registry.register(weights_of(1), model="line")
    assert registry.run_to_watch("line") is None


def test_production_versions_are_judged_in_the_order_of_their_promotions(registry):
    for accuracy in (0.9, 0.91, 0.9, 0.7):
        made = registry.register(
            weights_of(accuracy), model="line", metrics={"accuracy": accuracy}
        )
        registry.promote(made.reference)
    (finding,) = registry.drift("line")
    assert (finding.since, finding.found) == ("line:1.3.0", "line:1.3.0")


def test_a_baseline_is_kept_with_its_version(registry):
    version = registry.register(weights_of(1), model="digits")
    assert registry.drift_baseline("digits") == {}
    for seed in range(2):
        values = np.random.default_rng(seed).normal(size=(300, 2))
        baseline = {"input:x": TensorReference.of(values)}
        assert registry.set_drift_baseline("digits", baseline) == version
    (found,) = registry.drift_baseline("digits:1.0.0").values()
    np.testing.assert_array_equal(found.borders, baseline["input:x"].borders)
    assert [each.action for each in registry.audit()][:2] == ["set_drift_baseline"] * 2
