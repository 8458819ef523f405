"""The commands that govern versions."""

import json
import warnings

import numpy as np
import pytest

from flwr_registry.registry import ModelRegistry

with warnings.catch_warnings():
    # typer 0.20 imports names that click 8.5 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from typer.testing import CliRunner

    from flwr_registry.cli import app


@pytest.fixture
def place(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as opened:
        for value, accuracy in ((1, 0.8), (2, 0.9), (3, 0.7)):
            opened.register(
                {"w": np.full(2, value)},
                model="digits",
                metrics={"accuracy": accuracy},
            )
    return tmp_path / "registry.db"


@pytest.fixture
def call(place):
    def called(*words, code=0):
        result = CliRunner().invoke(app, [*words, "--registry", str(place)])
        assert result.exit_code == code, result.output
        return result

    return called


def test_promote_rollback_and_history(call):
    said = call("promote", "digits:1.0.0", "--reason", "first", "--actor", "ann")
    assert said.stdout.strip() == "digits:1.0.0 is in production"
    call("promote", "digits:1.1.0", "--better-than-production", "accuracy")
    said = call("rollback", "digits", "--format", "json")
    assert json.loads(said.stdout)["version"]["version"] == "1.0.0"
    table = call("history", "digits").stdout
    assert "rollback" in table and "ann" in table and "first" in table
    changes = json.loads(call("history", "digits", "--format", "json").stdout)
    assert [each["sequence"] for each in changes["history"]] == [3, 2, 1]


def test_a_gate_that_refuses_is_an_error_that_names_it(call):
    call("promote", "digits:1.1.0")
    refused = call(
        "promote",
        "digits:1.2.0",
        "--metric-at-least",
        "accuracy=0.75",
        "--better-than-production",
        "accuracy",
        code=1,
    )
    assert (
        "but has to be at least " in refused.stderr
        and "it has to be higher" in refused.stderr
    )
    assert "MetricAtLeast" not in refused.stderr
    assert refused.stdout == ""
    gate = ("--metric-at-least", "accuracy=0.75")
    call("promote", "digits:1.2.0", *gate, "--skip-gates")
    call("rollback", "digits")
    refused = call("promote", "digits:1.2.0", *gate, "--skip-gates", code=1)
    assert "rolled back from" in refused.stderr
    assert "--allow-archived" in refused.stderr
    call("promote", "digits:1.2.0", *gate, "--allow-archived", code=1)
    call("promote", "digits:1.2.0", *gate, "--allow-archived", "--skip-gates")


def test_a_metric_of_unknown_direction_asks_for_the_mode(call, place):
    with ModelRegistry(place) as opened:
        opened.register({"w": np.zeros(2)}, model="digits", metrics={"speed": 3.0})
    words = ("promote", "digits", "--better-than-production", "speed")
    asked = call(*words, code=2).stderr
    assert "speed" in asked and "--mode" in asked
    call(*words, "--mode", "min")
    words = ("gc", "--keep-best", "1", "--metric", "speed", "--dry-run")
    assert "--mode" in call(*words, code=2).stderr
    call(*words, "--mode", "min")


@pytest.mark.parametrize(
    "words",
    [
        ("promote", "digits", "--metric-at-least", "accuracy"),
        ("promote", "digits", "--mode", "best"),
        ("tag", "digits", "novalue"),
    ],
)
def test_words_that_make_no_sense_are_a_usage_error(call, words):
    call(*words, code=2)


def test_errors_of_the_registry_end_with_one(call):
    assert "digits" in call("promote", "digit", code=1).stderr
    assert "promote" in call("rollback", "digits", code=1).stderr


def test_a_model_without_history_says_so(call):
    assert "ever in production" in call("history", "digits").stdout


def test_aliases_tags_pins_and_archive(call):
    assert call("alias", "list", "digits").stdout == "digits has no alias\n"
    call("alias", "set", "digits", "best", "1.1.0")
    assert call("alias", "list", "digits").stdout.split() == ["digits@best", "1.1.0"]
    listed = json.loads(call("alias", "list", "digits", "--format", "json").stdout)
    assert listed["aliases"] == {"best": "1.1.0"}
    assert (
        "1.2.0"
        in call(
            "alias", "best", "digits", "--metric", "accuracy", "--mode", "min"
        ).stdout
    )
    assert (
        "no version" in call("alias", "best", "digits", "--metric", "f1", code=1).stderr
    )
    call("alias", "delete", "digits", "best")
    call("alias", "delete", "digits", "best", code=1)
    assert "site=north" in call("tag", "digits@latest", "site=north").stdout
    assert "has no tag" in call("tag", "digits@latest", "site-").stdout
    assert "is pinned" in call("pin", "digits:1.0.0").stdout
    assert "is not pinned" in call("pin", "digits:1.0.0", "--off").stdout
    assert "is archived" in call("archive", "digits:1.0.0").stdout
