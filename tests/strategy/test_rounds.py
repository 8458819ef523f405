"""What a run leaves in the registry, round by round, in both APIs."""

import logging

import numpy as np
import pytest
from federation.canonical import canonical
from federation.catalogue import find
from federation.clients import NODE_IDS
from federation.faults import Fault, FaultKind
from federation.in_process_grid import RUN_ID, to_record
from federation.outcome import Play, play
from flwr.common import ndarrays_to_parameters

from flwr_registry import ModelValidator, RegistryStrategy
from flwr_registry.errors import ValidationError
from flwr_registry.records import (
    ContributionStatus,
    MetricSource,
    RoundStatus,
    VersionStatus,
)

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])
NAN = FaultKind.NAN


def run(name, database, rounds=3, faults=(), **options):
    """Play an entry of the catalogue wrapped; return its outcome."""
    options = {"registry": database, "model": "digits", "on_error": "raise"} | options
    wrap = lambda strategy: RegistryStrategy(strategy, **options)  # noqa: E731
    return play(find(name), Play(wrap=wrap, rounds=rounds, faults=faults))


@BOTH
def test_every_round_is_a_version_whose_parent_is_the_round_before(
    api, database, registry
):
    run(f"{api}-FedAdam", database, rounds=4, run="trial")
    versions = registry.list("digits")[::-1]
    assert [each.version for each in versions] == ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
    assert [each.parent_version for each in versions] == [
        None,
        "1.0.0",
        "1.1.0",
        "1.2.0",
    ]
    assert [each.server_round for each in versions] == [1, 2, 3, 4]
    assert {each.run_name for each in versions} == {"trial"}
    assert {each.status for each in versions} == {VersionStatus.CANDIDATE}


@BOTH
def test_what_is_stored_is_what_the_strategy_returned(api, database, registry):
    outcome = run(f"{api}-FedAvg", database)
    weights = registry.load("digits")
    arrays = (
        to_record(weights)
        if api == "message"
        else ndarrays_to_parameters(list(weights.values()))
    )
    assert canonical(arrays) == outcome.arrays


def test_provenance_of_a_run(database, registry):
    run("message-FedAdam", database)
    (recorded,) = registry.runs("digits")
    known = recorded.provenance
    assert known.flwr_run_id == str(RUN_ID)
    assert (known.app_id, known.app_version) == ("acme/digits-app", "1.2.0")
    assert known.app_hash == "5f" * 32
    assert known.federation == "@acme/hospitals"
    assert known.strategy.endswith(".FedAdam")
    assert known.strategy_config["beta_1"] == 0.9
    assert set(known.versions) == {"flwr", "flwr_registry", "numpy", "python"}


def test_a_legacy_run_is_identified_by_its_clients(database, registry):
    run("legacy-FedAvg", database)
    (recorded,) = registry.runs("digits")
    assert recorded.provenance.flwr_run_id == str(RUN_ID)
    assert recorded.provenance.app_id == "acme/digits-app"


def test_the_model_is_named_after_the_app(database, registry):
    run("message-FedAvg", database, model=None, rounds=1)
    assert registry.models() == ["digits-app"]


@BOTH
def test_contributions_of_nodes_that_answer_fail_and_stay_silent(
    api, database, registry
):
    faults = [
        Fault(2, NODE_IDS[1], FaultKind.ERROR),
        Fault(3, NODE_IDS[3], FaultKind.NO_REPLY),
    ]
    run(f"{api}-FedAvg", database, faults=faults)
    found = [
        {each.node_id: each for each in registry.contributions(f"digits:1.{minor}.0")}
        for minor in range(3)
    ]
    assert all(set(nodes) == set(map(str, NODE_IDS)) for nodes in found)
    assert {each.status for each in found[0].values()} == {ContributionStatus.OK}
    assert sum(each.weight_share for each in found[0].values()) == pytest.approx(1)
    assert all("train_loss" in each.metrics for each in found[0].values())
    failed = found[1][str(NODE_IDS[1])]
    assert failed.status is ContributionStatus.ERROR
    assert "out of memory" in failed.error_reason
    silent = found[2][str(NODE_IDS[3])]
    # A legacy client that stays silent is an exception like any other.
    assert silent.status is (
        ContributionStatus.NO_REPLY if api == "message" else ContributionStatus.ERROR
    )
    assert registry.get("digits:1.2.0").num_clients == len(NODE_IDS) - 1


@BOTH
def test_metrics_are_attached_to_the_version_that_they_measured(
    api, database, registry
):
    run(f"{api}-FedAvg", database, rounds=2)
    metrics = registry.get("digits:1.0.0").metrics
    assert set(metrics) == {source.value for source in MetricSource}
    # The central evaluation of the second round of the message API gives nothing.
    central = registry.get("digits:1.1.0").metrics.get("evaluate_serverapp", {})
    assert bool(central) == (api == "legacy")


@BOTH
def test_one_nan_is_rejected_named_and_survived(api, database, registry, caplog):
    caplog.set_level(logging.WARNING, "flwr")
    faults = [Fault(2, NODE_IDS[0], NAN)]
    run(f"{api}-FedAdam", database, rounds=4, faults=faults)
    versions = registry.list("digits")[::-1]
    assert [each.status.value for each in versions] == [
        "candidate",
        "failed",
        "candidate",
        "candidate",
    ]
    failed = versions[1]
    assert any("NaN" in error for error in failed.validation_errors)
    assert versions[2].parent_version == "1.0.0"
    assert registry.latest("digits").version == "1.3.0"
    assert np.isnan(next(iter(registry.load("digits:1.1.0").values()))).any()
    assert "round 2 failed validation, recorded as digits:1.1.0 (failed)" in caplog.text
    assert "The last good model stays (digits:1.0.0)" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "message-FedAdam",
        "message-FedAvgM",
        "message-DifferentialPrivacyServerSideFixedClipping-FedAdam",
        "message-DifferentialPrivacyServerSideAdaptiveClipping",
        "legacy-FedAdam",
    ],
)
def test_one_bad_round_leaves_the_strategy_as_it_was(name, database, registry):
    run(name, database, rounds=4, faults=[Fault(2, NODE_IDS[0], NAN)])
    statuses = [each.status for each in registry.list("digits")[::-1]]
    assert [status is VersionStatus.FAILED for status in statuses] == [
        False,
        True,
        False,
        False,
    ]


@BOTH
def test_metrics_of_a_rejected_round_go_to_no_new_version(api, database, registry):
    run(f"{api}-FedAvg", database, rounds=2, faults=[Fault(2, NODE_IDS[0], NAN)])
    assert "evaluate_clientapp" not in registry.get("digits:1.1.0").metrics
    (recorded,) = registry.runs("digits")
    rejected = registry.rounds(recorded)[1]
    assert rejected.status is RoundStatus.REJECTED
    assert rejected.measured_version == "1.0.0"


@BOTH
def test_raise_ends_training_after_recording(api, database, registry):
    with pytest.raises(ValidationError, match="round 2 failed validation") as caught:
        run(
            f"{api}-FedAvg",
            database,
            faults=[Fault(2, NODE_IDS[0], NAN)],
            on_invalid="raise",
        )
    assert any("NaN" in error for error in caught.value.errors)
    assert registry.get("digits:1.1.0").status is VersionStatus.FAILED


@BOTH
def test_record_goes_on_with_the_invalid_model(api, database, registry):
    validator = ModelValidator(check=lambda candidate: ["never good enough"])
    name = f"{api}-FedAvg"
    outcome = run(name, database, validator=validator, on_invalid="record")
    assert outcome == play(find(name))
    versions = registry.list("digits")
    assert [each.status for each in versions] == [VersionStatus.FAILED] * 3
    assert versions[0].validation_errors == ("never good enough",)


@BOTH
def test_a_round_without_a_model_is_a_round_without_a_version(api, database, registry):
    faults = [Fault(2, node_id, FaultKind.ERROR) for node_id in NODE_IDS]
    run(f"{api}-FedAvg", database, faults=faults)
    assert [each.version for each in registry.list("digits")] == ["1.1.0", "1.0.0"]
    (recorded,) = registry.runs("digits")
    rounds = registry.rounds(recorded)
    assert [each.status.value for each in rounds] == [
        "registered",
        "no_result",
        "registered",
    ]
    assert len(rounds[1].contributions) == len(NODE_IDS)
    assert registry.get("digits:1.1.0").parent_version == "1.0.0"


@pytest.mark.parametrize("name", ["message-FedXgbBagging", "legacy-FedXgbBagging"])
def test_xgboost_passes_as_opaque_content(name, database, registry):
    run(name, database)
    newest = registry.latest("digits")
    assert newest.version == "1.2.0"
    assert newest.metadata.framework == "xgboost"
    weights = registry.load("digits")
    assert weights.opaque
    assert next(iter(weights.values())).tobytes().startswith(b'{"learner"')


@BOTH
def test_an_averaged_counter_is_no_error_and_no_new_architecture(
    api, database, registry, caplog
):
    caplog.set_level(logging.INFO, "flwr")
    run(f"{api}-FedAvg", database)
    assert registry.latest("digits").version == "1.2.0"
    counter = registry.load("digits")[
        "norm.num_batches_tracked" if api == "message" else "2"
    ]
    if api == "message":
        assert counter.dtype == np.float64
        assert dict(registry.load("digits").cast_back) == {
            "norm.num_batches_tracked": "int64"
        }
        assert caplog.text.count("made floats of the integers") == 1


@pytest.mark.slow
def test_two_runs_of_one_model_each_keep_their_own_line(database, registry):
    run("message-FedAvg", database, rounds=2, run="one")
    run("legacy-FedAvg", database, rounds=2, run="two", parameter_names=NAMES)
    versions = registry.list("digits")[::-1]
    assert [each.version for each in versions] == ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
    assert [each.parent_version for each in versions] == [None, "1.0.0", None, "1.2.0"]


NAMES = [
    "conv.weight",
    "norm.weight",
    "norm.num_batches_tracked",
    "head.weight",
    "head.bias",
]


def test_names_that_are_too_few_cost_no_version(database, registry, caplog):
    run("legacy-FedAvg", database, rounds=2, run="few", parameter_names=NAMES[:3])
    assert list(registry.load("digits")) == [*NAMES[:3], "3", "4"]
    assert caplog.text.count("parameter_names has 3 names, the model 5 arrays") == 1


def test_names_that_are_too_many_leave_all_to_their_positions(
    database, registry, caplog
):
    names = [*NAMES, "more"]
    run("legacy-FedAvg", database, rounds=1, run="many", parameter_names=names)
    assert list(registry.load("digits")) == ["0", "1", "2", "3", "4"]
    assert "all are so named where there are too many names" in caplog.text


def test_the_log_says_where_and_one_line_a_round(database, caplog, tmp_path):
    caplog.set_level(logging.INFO, "flwr")
    run("message-FedAvg", database, rounds=2, run="trial")
    lines = [each for each in caplog.messages if each.startswith("registry: ")]
    assert f"database {database}, storage {tmp_path}" in lines[0]
    rounds = [line for line in lines if "sha256" in line]
    assert len(rounds) == 2
    assert "digits:1.1.0 (sha256 " in rounds[1]
    assert "parent 1.0.0, 7/7 nodes" in rounds[1]
    assert "registered 2 versions of digits, 1.0.0 to 1.1.0" in lines[-1]
