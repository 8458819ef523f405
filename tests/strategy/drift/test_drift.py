"""Federations that get worse: real learning on real digits, in process."""

import numpy as np
import pytest
from federation.digit_clients import (
    DIGIT_NODES,
    DigitClients,
    digits_model,
    measure_digits,
)
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from federation.legacy_clients import NumpyFormat
from federation.legacy_federation import OrderedServer
from federation.legacy_federation import federate as federation
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import strategy as legacy
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM

from flwr_registry import DriftDetector, MetricAtLeast, ModelRegistry, RegistryStrategy
from flwr_registry.errors import DriftError

pytestmark = pytest.mark.slow

SHARP = DriftDetector(metrics={"loss": "min"}, slack=0.0, threshold=0.01, min_points=3)


class Worse(DigitClients):
    """Nodes whose model is spoilt in some rounds, so that every metric shows it."""

    def train(self, node_id, server_round, arrays, config):
        answer = super().train(node_id, server_round, arrays, config)
        if server_round in (6, 7):
            answer.arrays["weight"] = -answer.arrays["weight"]
        return answer


def federate(place, clients, rounds, strategy=FedAvg, **options):
    wrapped = RegistryStrategy(
        strategy(min_available_nodes=4, min_train_nodes=4),
        registry=str(place / "registry.db"),
        model="digits",
        run="trial",
        sort_replies=True,
        **{"on_error": "raise", **options},
    )
    return wrapped.start(
        grid=InProcessGrid(clients, node_ids=DIGIT_NODES),
        initial_arrays=to_record(digits_model()),
        num_rounds=rounds,
        evaluate_fn=measure_digits,
    )


def federate_legacy(place, clients, rounds, strategy=legacy.FedAvg, **options):
    initial = digits_model()
    wrapped = RegistryStrategy(
        strategy(
            min_available_clients=4,
            min_fit_clients=4,
            min_evaluate_clients=4,
            initial_parameters=ndarrays_to_parameters(list(initial.values())),
            evaluate_fn=measured_legacy,
            accept_failures=False,
        ),
        registry=str(place / "registry.db"),
        model="digits",
        run="trial",
        parameter_names=list(initial),
        **{"on_error": "raise", **options},
    )
    tensor_format = NumpyFormat(tuple(initial))
    manager, _ = federation(clients, tensor_format, initial, node_ids=DIGIT_NODES)
    server = OrderedServer(client_manager=manager, strategy=wrapped)
    server.fit(rounds, timeout=None)
    return parameters_to_ndarrays(server.parameters)


def measured_legacy(server_round, arrays, config):
    found = measure_digits(
        server_round, to_record(dict(zip(digits_model(), arrays, strict=True)))
    )
    return found["loss"], {"accuracy": found["accuracy"]}


@pytest.fixture
def opened(tmp_path):
    def read():
        return ModelRegistry(tmp_path / "registry.db", tmp_path)

    return read


def test_shuffled_labels_are_found_where_they_begin(tmp_path, opened):
    clients = DigitClients(bad_node=2, bad_from_round=6)
    federate(tmp_path, clients, 12)
    with opened() as registry:
        (found,) = registry.drift_findings("digits")
        assert found.finding.since == "round 6"
        assert found.run_name == "trial"
        assert registry.get(f"digits:{found.version}").server_round <= 9
        (judged,) = registry.drift("digits")
        assert judged.since == "round 6"


@pytest.mark.parametrize("strategy", [FedAvg, FedAdam])
def test_clean_runs_give_no_alarm(tmp_path, opened, strategy):
    alarms = []
    for seed in range(5):
        place = tmp_path / str(seed)
        place.mkdir()
        federate(place, DigitClients(seed), 20, strategy)
        with ModelRegistry(place / "registry.db", place) as registry:
            alarms += registry.drift_findings("digits")
    assert alarms == []


def test_what_an_update_was_like_is_a_metric(tmp_path, opened):
    federate(tmp_path, DigitClients(), 3)
    with opened() as registry:
        third, second, first = (each.metrics["aggregate"] for each in registry.list())
        weights = registry.load("digits:1.0.0")
        assert registry.search(
            "metrics.update_norm > 0 and metrics.num_contributors = 4"
        )
    norm = np.sqrt(sum((np.asarray(each) ** 2).sum() for each in weights.values()))
    assert first["update_norm"] == pytest.approx(norm, rel=1e-5)
    assert "update_cosine" not in first
    assert -1 <= second["update_cosine"] <= 1 and third["num_contributors"] == 4


def test_off_measures_nothing(tmp_path, opened):
    federate(tmp_path, DigitClients(bad_node=2, bad_from_round=3), 8, on_drift="off")
    with opened() as registry:
        assert registry.drift_findings("digits") == []
        assert "aggregate" not in registry.latest("digits").metrics


def test_stop_ends_training_when_the_round_is_saved(tmp_path, opened):
    with pytest.raises(DriftError, match="training ends after round 6") as raised:
        federate(tmp_path, Worse(), 12, on_drift="stop", drift=SHARP)
    assert raised.value.findings
    with opened() as registry:
        assert registry.latest("digits").server_round == 6
        assert registry.drift_findings("digits")[0].version == "1.5.0"
    # It can be gone on with, once somebody has looked at it.
    federate(tmp_path, DigitClients(), 8, resume=True, on_drift="stop", drift=SHARP)
    with opened() as registry:
        assert registry.latest("digits").server_round == 8


@pytest.mark.parametrize("strategy", [FedAvg, FedAvgM])
def test_rollback_trains_on_from_the_model_before(tmp_path, opened, strategy):
    options = {"on_drift": "rollback", "drift": SHARP, "checkpoint_every": 1}
    result = federate(
        tmp_path, Worse(), 10, strategy, **options, promote=MetricAtLeast("accuracy", 0)
    )
    with opened() as registry:
        versions = {each.server_round: each for each in registry.list()}
        # Rounds 6 and 7 are spoilt; what follows each of them grew from round 5.
        parents = [versions[each].parent_version for each in (6, 7, 8)]
        assert parents == [versions[5].version] * 3
        promoted = [each.to_version for each in registry.history("digits")]
        assert versions[6].version not in promoted
        assert registry.get("digits@production").server_round == 10
        losses = [
            versions[each].metrics["evaluate_serverapp"]["loss"] for each in (5, 6, 10)
        ]
    assert losses[2] < losses[0] < losses[1]
    assert set(to_arrays(result.arrays)) == {"weight", "bias"}


@pytest.mark.parametrize("strategy", [legacy.FedAvg, legacy.FedAvgM])
def test_the_legacy_api_goes_back_too(tmp_path, opened, strategy):
    options = {"on_drift": "rollback", "drift": SHARP}
    federate_legacy(tmp_path, Worse(), 10, strategy, **options)
    with opened() as registry:
        versions = {each.server_round: each for each in registry.list()}
        parents = [versions[each].parent_version for each in (6, 7, 8)]
        assert parents == [versions[5].version] * 3
        losses = [
            versions[each].metrics["evaluate_serverapp"]["loss"] for each in (5, 6, 10)
        ]
    assert losses[2] < losses[0] < losses[1]


def test_the_legacy_api_stops_too(tmp_path, opened):
    with pytest.raises(DriftError, match="training ends after round 6"):
        federate_legacy(tmp_path, Worse(), 10, on_drift="stop", drift=SHARP)
    with opened() as registry:
        assert registry.latest("digits").server_round == 6


def test_drifted_versions_leave_production(tmp_path, opened):
    """Found in round 8, since round 6, which was promoted meanwhile."""
    clients = DigitClients(bad_node=2, bad_from_round=6)
    gate = MetricAtLeast("accuracy", 0)
    federate(tmp_path, clients, 8, on_drift="rollback", promote=gate)
    with opened() as registry:
        (found,) = registry.drift_findings("digits")
        assert (found.finding.since, found.finding.found) == ("round 6", "round 8")
        assert registry.history("digits")[0].action == "rollback"
        assert registry.get("digits@production").server_round == 5


def test_a_resumed_run_goes_on_from_the_restored_model(tmp_path, opened):
    options = {"on_drift": "rollback", "drift": SHARP}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    expected = federate(whole, Worse(), 9, **options)
    federate(cut, Worse(), 6, **options)
    found = federate(cut, Worse(), 9, resume=True, **options)
    for name, array in to_arrays(expected.arrays).items():
        np.testing.assert_array_equal(to_arrays(found.arrays)[name], array)


def test_without_a_state_to_go_back_to_training_goes_on(tmp_path, opened, caplog):
    options = {"on_drift": "rollback", "drift": SHARP, "on_error": "warn"}
    federate(tmp_path, Worse(), 8, FedAvgM, checkpoint_every=100, **options)
    assert (
        "no checkpoint of a round without drift is there to go back to" in caplog.text
    )
    with opened() as registry:
        assert registry.latest("digits").server_round == 8
