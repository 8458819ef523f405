"""What a registry keeps of metrics: numbers, short texts and short lists."""

import json
import logging
import math
import re

import numpy as np
import pytest
import torch
from flwr.app import MetricRecord

from flwr_registry.checkpointing import number_of, trusted_metrics
from flwr_registry.strategy.metrics_reader import MetricsReader, metrics_of


def test_metrics_become_plain():
    assert metrics_of(MetricRecord({"loss": 0.5, "n": 3, "per": [1.0, 2.0]})) == {
        "loss": 0.5,
        "n": 3,
        "per": [1.0, 2.0],
    }
    assert metrics_of({"a": np.float32(2), "b": b"raw", "c": True, "d": "x"}) == {
        "a": 2.0,
        "c": True,
        "d": "x",
    }
    assert metrics_of(None) == metrics_of(3) == {}


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5)],
    ids=lambda value: type(value).__name__,
)
def test_a_scalar_of_any_library_is_a_number(value):
    assert number_of(value) == 0.5
    assert metrics_of({"accuracy": value}) == {"accuracy": 0.5}
    assert type(metrics_of({"accuracy": value})["accuracy"]) is float
    history = {"evaluate_serverapp": {1: [value, {"accuracy": value}]}}
    assert trusted_metrics(history) == {1: {"loss": 0.5, "accuracy": 0.5}}


@pytest.mark.parametrize(
    "value",
    [True, np.True_, "0.5", None, 1j, 10**400, np.ones(2), torch.ones(1), [1.0]],
    ids=repr,
)
def test_what_is_no_number(value):
    assert number_of(value) is None


ENDLESS: list = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.zeros((100, 100)), r"an array of shape \(100, 100\)"),
        (torch.zeros(1000), r"an array of shape \(1000,\)"),
        ([0.0] * 101, "a list of 101 values"),
        ([[0.0] * 50] * 50, "a list"),
        ("x" * 1001, "a text of 1001 characters"),
        (10**5000, "bits"),
        (b"raw", "a bytes"),
        ({"nested": 1}, "a dict"),
        (ENDLESS, "a list"),
    ],
    ids=lambda value: "",
)
def test_what_is_too_large_is_left_out_and_named(value, why, caplog):
    reader = MetricsReader()
    with caplog.at_level(logging.WARNING, "flwr"):
        for _ in range(3):
            kept = reader.read({"odd": value, "loss": 1.0}, "node", "7")
            assert kept == {"loss": 1.0}
    (line,) = caplog.messages
    assert "'odd' of the node 7" in line
    assert re.search(why, line)


def test_there_is_an_end_to_names_and_to_characters(caplog):
    reader = MetricsReader()
    with caplog.at_level(logging.WARNING, "flwr"):
        many = reader.read({f"metric-{n}": 0.5 for n in range(50_000)}, "node", "7")
        long = reader.read({f"text-{n}": "x" * 1000 for n in range(100)}, "node", "8")
        named = reader.read({"n" * 10_000: 1, "loss": 1.0}, "node", "9")
    assert len(json.dumps(many)) < 20_000
    assert len(json.dumps(long)) < 20_000
    assert named == {"loss": 1.0}
    assert "49872 more" in caplog.text
    assert all(len(line) < 500 for line in caplog.messages)


def test_the_log_stays_short(caplog):
    reader = MetricsReader()
    with caplog.at_level(logging.WARNING, "flwr"):
        for n in range(100):
            reader.read({f"weights-{n}": np.zeros(1000)}, "node", str(n))
    assert len(caplog.messages) <= 20


def test_odd_floats_stay():
    kept = metrics_of({"a": math.nan, "b": math.inf, "c": np.float32("nan")})
    assert math.isnan(kept["a"])
    assert math.isnan(kept["c"])
    assert kept["b"] == math.inf
