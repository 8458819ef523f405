"""Runs, rounds and what was measured in them."""

import math

import pytest
from registry.samples import facts_of

from flwr_registry.errors import DatabaseError, InvalidNameError
from flwr_registry.records import (
    ContributionStatus,
    MetricSource,
    RoundStatus,
    RunProvenance,
    VersionStatus,
)
from flwr_registry.registry import ModelRegistry

CENTRAL, FEDERATED = MetricSource.EVALUATE_SERVERAPP, MetricSource.EVALUATE_CLIENTAPP
MEASURED = set(MetricSource) - {MetricSource.AGGREGATE}


def test_a_run_keeps_its_provenance(registry):
    provenance = RunProvenance(
        "experiment",
        "digits",
        flwr_run_id=str(2**64 - 1),
        app_id="flwrlabs/digits",
        app_version="1.0.0",
        app_hash="abc",
        federation="local",
        strategy="flwr.serverapp.strategy.FedAvg",
        strategy_config={"fraction_train": 0.5, "weighted_by_key": "num-examples"},
        run_config={"num-server-rounds": 3, "lr": 0.1, "flag": True},
        versions={"flwr": "1.41.0"},
    )
    run = registry.start_run(provenance)
    assert run.provenance == provenance
    assert run.started_at.tzinfo is not None
    assert registry.runs() == registry.runs("digits") == [run]
    assert registry.runs("letters") == []


def test_runs_are_listed_newest_first_and_each_start_is_one(start, registry):
    first, second = start(), start()
    assert first.id != second.id
    assert registry.runs() == [second, first]
    assert registry.models() == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a" * 129])
def test_a_run_with_an_impossible_name_is_refused(registry, name):
    with pytest.raises(InvalidNameError):
        registry.start_run(RunProvenance(name, "digits"))
    with pytest.raises(InvalidNameError):
        registry.start_run(RunProvenance("run", name))
    assert registry.runs() == []


def test_a_round_without_a_version(registry, start, add):
    run = start()
    version = add(1, run=run, facts=facts_of(1))
    facts = facts_of(2, "a", "b", train_loss=math.nan)
    registry.record_round(run, facts, RoundStatus.NO_RESULT, measured=version)
    _, recorded = registry.rounds(run)
    assert recorded.status is RoundStatus.NO_RESULT
    assert (recorded.version, recorded.measured_version) == (None, "1.0.0")
    assert math.isnan(recorded.metrics["train_clientapp"]["train_loss"])
    assert [given.node_id for given in recorded.contributions] == ["a", "b"]
    assert recorded.contributions[0].status is ContributionStatus.OK


def test_a_round_recorded_again_is_replaced(registry, start):
    run = start()
    registry.record_round(run, facts_of(1, "a", "b"), RoundStatus.NO_RESULT)
    registry.record_round(
        run, facts_of(1, "b", "c"), RoundStatus.REJECTED, errors=["NaN"]
    )
    (recorded,) = registry.rounds(run)
    assert (recorded.status, recorded.errors) == (RoundStatus.REJECTED, ("NaN",))
    assert [given.node_id for given in recorded.contributions] == ["b", "c"]


def test_a_recorded_round_may_still_be_registered_but_never_loses_its_version(
    registry, start, add
):
    run = start()
    registry.record_round(run, facts_of(1, "a"), RoundStatus.NO_RESULT)
    add(1, run=run, facts=facts_of(1, "a"))
    registry.record_round(run, facts_of(1, "a"), RoundStatus.NO_RESULT)
    (recorded,) = registry.rounds(run)
    assert (recorded.status, recorded.version) == (RoundStatus.REGISTERED, "1.0.0")


def test_a_rejected_round_has_its_reasons(registry, start, add):
    run = start()
    add(1, run=run, facts=facts_of(1), errors=["NaN in layer"])
    (recorded,) = registry.rounds(run)
    assert recorded.status is RoundStatus.REJECTED
    assert recorded.errors == ("NaN in layer",)
    assert (recorded.version, recorded.measured_version) == ("1.0.0", None)


def test_metrics_of_a_round_go_to_the_version_it_made(registry, start, add):
    run = start()
    version = add(1, run=run, facts=facts_of(1, train_loss=3.0))
    registry.record_metrics(run, 1, FEDERATED, {"eval_loss": 2.0}, measured=version)
    assert registry.latest("digits").val_loss == 2.0
    registry.record_metrics(
        run, 1, CENTRAL, {"loss": math.nan, "accuracy": 0.5}, measured=version
    )
    found = registry.get(version.reference)
    assert found.status is VersionStatus.FAILED
    assert found.val_loss is None
    assert found.val_accuracy == 0.5
    assert math.isnan(found.metrics[CENTRAL]["loss"])
    assert set(found.metrics) == MEASURED
    (recorded,) = registry.rounds(run)
    assert set(recorded.metrics) == MEASURED
    # The same source may tell more, in the same round.
    registry.record_metrics(run, 1, CENTRAL, {"f1": 0.25}, measured=version)
    assert registry.get(version.reference).metrics[CENTRAL].keys() == {
        "loss",
        "accuracy",
        "f1",
    }


def test_metrics_of_a_later_round_stay_with_the_first_measure(registry, start, add):
    run = start()
    version = add(1, run=run, facts=facts_of(1))
    registry.record_metrics(run, 1, CENTRAL, {"loss": 1.0}, measured=version)
    registry.record_round(run, facts_of(2), RoundStatus.NO_RESULT)
    for source, loss in ((CENTRAL, 9.0), (FEDERATED, 8.0)):
        registry.record_metrics(run, 2, source, {"loss": loss}, measured=version)
    found = registry.latest("digits")
    assert found.metrics == {CENTRAL: {"loss": 1.0}, FEDERATED: {"loss": 8.0}}
    assert found.val_loss == 1.0
    second = registry.rounds(run)[1]
    assert second.metrics == {CENTRAL: {"loss": 9.0}, FEDERATED: {"loss": 8.0}}
    assert second.measured_version == "1.0.0"


def test_metrics_before_any_model_are_kept_in_their_round(registry, start):
    run = start()
    registry.record_metrics(run, 0, CENTRAL, {"loss": 2.3}, measured=None)
    (recorded,) = registry.rounds(run)
    assert recorded.server_round == 0
    assert recorded.status is RoundStatus.NO_RESULT
    assert recorded.metrics == {CENTRAL: {"loss": 2.3}}
    assert recorded.measured_version is None


def test_a_run_of_another_database_is_refused(tmp_path, start):
    run = start()
    with (
        ModelRegistry(tmp_path / "other.db") as other,
        pytest.raises(DatabaseError, match="another database"),
    ):
        other.record_round(run, facts_of(1), RoundStatus.NO_RESULT)


def test_rounds_come_in_their_order(registry, start):
    run, other = start(), start("other")
    for server_round in (10, 2, 1):
        registry.record_round(run, facts_of(server_round), RoundStatus.NO_RESULT)
    registry.record_round(other, facts_of(3), RoundStatus.NO_RESULT)
    assert [each.server_round for each in registry.rounds(run)] == [1, 2, 10]
