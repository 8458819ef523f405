"""Where metrics go, and which of them every list shows."""

import math

import pytest

from flwr_registry.records import MetricSource, RoundFacts
from flwr_registry.registry.versions.metrics import (
    collect_metrics,
    val_accuracy_of,
    val_loss_of,
)


def test_plain_metrics_are_central_and_those_of_a_round_are_of_training():
    collected = collect_metrics(
        {"accuracy": 1}, RoundFacts(1, {"train_loss": math.nan})
    )
    assert collected == {
        "train_clientapp": {"train_loss": "nan"},
        "evaluate_serverapp": {"accuracy": 1},
    }


def test_metrics_may_come_by_source():
    metrics = {MetricSource.EVALUATE_CLIENTAPP: {"loss": 1.0}}
    assert collect_metrics(metrics, None) == {"evaluate_clientapp": {"loss": 1.0}}
    assert collect_metrics({}, None) == {}


@pytest.mark.parametrize(
    "key", ["val_loss", "eval_loss", "loss", "Val-Loss", "test_loss", "validation loss"]
)
def test_a_loss_is_found_under_its_many_names(key):
    assert val_loss_of({"evaluate_clientapp": {"other": 1, key: 0.25}}) == 0.25


@pytest.mark.parametrize(
    "key", ["val_accuracy", "eval_acc", "accuracy", "acc", "ACC", "Eval-Accuracy"]
)
def test_an_accuracy_is_found_under_its_many_names(key):
    assert val_accuracy_of({"evaluate_clientapp": {key: 0.5}}) == 0.5


def test_central_goes_before_federated_before_training():
    metrics = {
        "train_clientapp": {"loss": 3.0, "accuracy": 0.3},
        "evaluate_clientapp": {"eval_loss": 2.0},
        "evaluate_serverapp": {"loss": 1.0},
    }
    assert val_loss_of(metrics) == 1.0
    del metrics["evaluate_serverapp"]
    assert val_loss_of(metrics) == 2.0
    assert val_accuracy_of(metrics) == 0.3


def test_what_is_not_finite_is_not_shown_and_hides_nothing():
    metrics = {
        "evaluate_serverapp": {"loss": "nan"},
        "evaluate_clientapp": {"loss": 1.0},
    }
    assert val_loss_of(metrics) is None
    assert val_loss_of({"evaluate_serverapp": {"loss": "low"}}) is None
    assert val_loss_of({}) is None
