"""Metrics that no sound training gives make a version failed, whoever brings them."""

import math

import pytest
from registry.samples import facts_of

from flwr_registry.errors import InvalidStateError
from flwr_registry.records import MetricSource, RoundStatus, VersionStatus
from flwr_registry.registry.audit_log import read_entries
from flwr_registry.registry.steps import read

FAILED, CANDIDATE = VersionStatus.FAILED, VersionStatus.CANDIDATE
CENTRAL = MetricSource.EVALUATE_SERVERAPP
DOUBTFUL = [{"accuracy": 87.0}, {"val_loss": -0.5}, {"loss": math.nan}]


@pytest.mark.parametrize("metrics", DOUBTFUL)
def test_a_version_registered_with_doubtful_metrics_is_failed(registry, add, metrics):
    version = add(1, metrics=metrics)
    (name,) = metrics
    assert version.status is FAILED
    (error,) = version.validation_errors
    assert f"metric '{name}' is" in error
    for over in ({}, {"skip_gates": True, "allow_archived": True}):
        with pytest.raises(InvalidStateError, match=name):
            registry.promote(version.reference, **over)
    assert add(2, metrics={"accuracy": 0.87, "loss": 0.1}).status is CANDIDATE


def test_by_source_and_by_round_it_is_the_same_rule(registry, add, start):
    by_source = {CENTRAL.value: {"accuracy": 0.9}, "evaluate_clientapp": {"acc": 90.0}}
    assert add(1, metrics=by_source).status is FAILED
    run = start()
    trained = add(2, run=run, facts=facts_of(1, "ann", accuracy=87.0))
    assert trained.status is FAILED
    told = add(
        3,
        run=run,
        facts=facts_of(2, "ann", accuracy=87.0),
        errors=trained.validation_errors,
    )
    assert told.validation_errors == trained.validation_errors


def test_a_range_of_the_user_s_own_allows_them(registry, add, start):
    allowed = {"accuracy": (0, 100), "val_loss": (None, None), "loss": (None, None)}
    for value, metrics in enumerate(DOUBTFUL):
        version = add(value, metrics=metrics, metric_ranges=allowed)
        assert version.status is CANDIDATE
    run = start()
    version = add(9, run=run, facts=facts_of(1, "ann"))
    measured = registry.record_metrics(
        run, 1, CENTRAL, {"accuracy": 87.0}, measured=version, metric_ranges=allowed
    )
    assert measured.status is CANDIDATE
    with pytest.raises(ValueError, match=r"metric_ranges\['loss'\] is \(low, high\)"):
        add(7, metric_ranges={"loss": 3})


def test_metrics_that_come_later_fail_the_version(registry, add, start):
    run = start()
    version = add(1, run=run, facts=facts_of(1, "ann"))
    for _ in range(2):
        after = registry.record_metrics(
            run, 1, CENTRAL, {"accuracy": 87.0}, measured=version
        )
    assert after == registry.get(version.reference)
    assert after.status is FAILED and len(after.validation_errors) == 1
    (done,) = registry.rounds(run)
    assert done.status is RoundStatus.REJECTED
    entries = registry._run(read(read_entries))
    (entry,) = (each for each in entries if each.action == "doubt_metrics")
    assert entry.details["from"] == "candidate" and entry.details["to"] == "failed"


def test_a_version_in_production_stays_there_and_fails_when_it_leaves(
    registry, add, start
):
    run = start()
    registry.promote(add(1, run=run, facts=facts_of(1, "ann")).reference)
    served = registry.promote(add(2, run=run, facts=facts_of(2, "ann")).reference)
    after = registry.record_metrics(run, 2, CENTRAL, {"loss": -1.0}, measured=served)
    assert after.is_production and after.validation_errors
    registry.name_best("digits", "loss")
    assert "best" not in registry.aliases("digits")
    registry.promote(add(3).reference)
    assert registry.get(served.reference).status is FAILED
    assert registry.rollback("digits").version == "1.0.0"
    with pytest.raises(InvalidStateError, match="failed validation"):
        registry.rollback("digits", to=served.version)


@pytest.mark.parametrize("allowed", [None, {"accuracy": (0, 100)}])
def test_a_bundle_brings_them_under_the_same_rule(registry, add, tmp_path, allowed):
    version = add(1, metrics={"accuracy": 87.0}, metric_ranges={"accuracy": (0, 100)})
    bundle = registry.export(version.reference, tmp_path / "digits.bundle", to="bundle")
    made = registry.import_bundle(bundle, model="other", metric_ranges=allowed)
    assert made.status is (CANDIDATE if allowed else FAILED)
