"""What the commands about drift print, and how they end."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flwr_registry import ModelRegistry
from flwr_registry.cli import app
from flwr_registry.records import MetricSource, RoundFacts, RunProvenance


@pytest.fixture
def places(tmp_path):
    return ["--registry", str(tmp_path / "r.db"), "--storage", str(tmp_path / "w")]


def train(places, accuracies):
    with ModelRegistry(places[1], places[3]) as registry:
        run = registry.start_run(RunProvenance("trial", "digits"))
        for number, accuracy in enumerate(accuracies, 1):
            made = registry.register(
                {"w": np.full(2, number, np.float32)},
                model="digits",
                run=run,
                facts=RoundFacts(number),
            )
            source = MetricSource.EVALUATE_SERVERAPP
            measured = {"accuracy": accuracy}
            registry.record_metrics(run, number, source, measured, measured=made)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.mark.slow
def test_a_sound_run_ends_with_0(places):
    train(places, [0.5, 0.7, 0.8, 0.85, 0.86, 0.87, 0.87, 0.88])
    told = invoke("drift", "digits", *places)
    assert told.exit_code == 0
    assert "digits:1.7.0: nothing gets worse" in told.output


@pytest.mark.slow
def test_a_run_that_gets_worse_ends_with_1_and_says_since_when(places):
    train(places, [0.9] * 8 + [0.6] * 3)
    told = invoke("drift", "digits", *places)
    assert told.exit_code == 1
    assert (
        "critical: accuracy is getting worse since round 9: 0.9 before" in told.output
    )
    as_json = invoke("drift", "digits", "--format", "json", *places)
    (finding,) = json.loads(as_json.output)["findings"]
    assert (finding["subject"], finding["since"]) == ("accuracy", "round 9")
    other = invoke("drift", "digits", "--metric", "accuracy=min", *places)
    assert other.exit_code == 0
    wrong = invoke("drift", "digits", "--metric", "accuracy=up", *places)
    assert wrong.exit_code == 2
    unknown = invoke("drift", "digits", "--metric", "speed", *places)
    assert unknown.exit_code == 2 and "--metric speed=" in unknown.output
    assert invoke("drift", "digits", "--metric", "accuracy", *places).exit_code == 1
    old = invoke("drift", "digits", "--test", "adwin", *places)
    assert old.exit_code == 2 and "Page-Hinkley is the only" in old.output


@pytest.mark.slow
def test_a_registered_file_hides_no_run_and_is_none(places):
    train(places, [0.9] * 8 + [0.6] * 3)
    with ModelRegistry(places[1], places[3]) as registry:
        registry.register({"w": np.ones(2, np.float32)}, model="digits")
        registry.register({"w": np.ones(2, np.float32)}, model="letters")
    told = invoke("drift", "digits", *places)
    assert told.exit_code == 1 and "worse since round 9" in told.output
    told = invoke("drift", "letters", *places)
    assert told.exit_code == 0
    assert "letters:1.0.0: no run to watch" in told.output
    assert "nothing gets worse" not in told.output


def test_a_baseline_is_taken_from_a_file(places, tmp_path):
    train(places, [0.9])
    inputs = tmp_path / "inputs.npy"
    np.save(inputs, np.random.default_rng(1).normal(size=(300, 2)))
    options = ["--predict", "serving.networks:echo", *places]
    told = invoke("drift-baseline", "digits:1.0.0", inputs, *options)
    assert told.exit_code == 0, told.output
    assert "input:input, output:output" in told.output
    with ModelRegistry(places[1], places[3]) as registry:
        assert sorted(registry.drift_baseline("digits")) == [
            "input:input",
            "output:output",
        ]
    np.save(inputs, np.zeros((3, 2)))
    few = invoke("drift-baseline", "digits:1.0.0", inputs, *options)
    assert few.exit_code == 2 and "200 examples" in few.output
    inputs.write_text("no numbers")
    broken = invoke("drift-baseline", "digits:1.0.0", inputs, *options)
    assert broken.exit_code == 2
