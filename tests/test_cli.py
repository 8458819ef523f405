"""The command line, on real registries."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path

import numpy as np
import pytest

import flwr_registry
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    MetricSource,
    RoundFacts,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry import ModelRegistry

with warnings.catch_warnings():
    # typer 0.20 imports names that click 8.5 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from typer.testing import CliRunner

    from flwr_registry.cli import app


def weights_of(value):
    return {"layer": np.full(4, value, np.float32)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of four rounds, the second of which failed, with a patch of the third."""
    place = tmp_path_factory.mktemp("registry") / "registry.db"
    with ModelRegistry(place) as registry:
        provenance = RunProvenance(
            "experiment", "digits", flwr_run_id="123", strategy="FedAvg"
        )
        run = registry.start_run(provenance)
        for server_round in range(1, 5):
            nodes = [
                Contribution("node-a", num_examples=30, weight_share=1.0),
                Contribution(
                    "node-b",
                    ContributionStatus.NO_REPLY,
                    error_reason="timed \x1b[31mout",
                ),
            ]
            version = registry.register(
                weights_of(server_round),
                model="digits",
                run=run,
                facts=RoundFacts(server_round, {"train_drift": float("nan")}, nodes),
                errors=["NaN in layer"] if server_round == 2 else (),
                metadata=VersionMetadata("MLP", description="[bold]not markup[/bold]"),
            )
            measured = {"loss": 1 / server_round, "accuracy": 0.75}
            registry.record_metrics(
                run,
                server_round,
                MetricSource.EVALUATE_SERVERAPP,
                measured,
                measured=version,
            )
        registry.register(weights_of(9), model="digits", parent="1.2.0", bump="patch")
        registry.register(weights_of(9), model="letters")
    return place


@pytest.fixture
def run(place):
    def invoke(*arguments, registry=place):
        return CliRunner().invoke(app, [*arguments, "--registry", str(registry)])

    return invoke


def test_list_shows_every_version_of_every_model(run):
    done = run("list")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "digits"
    header = "version status parent round nodes loss accuracy size digest created (UTC)"
    assert " ".join(lines[1].split()) == header
    versions = [line.split()[0] for line in lines[2:7]]
    assert versions == ["1.2.1", "1.3.0", "1.2.0", "1.1.0", "1.0.0"]
    assert re.match(r"1\.1\.0 +failed +1\.0\.0 +2 +1 +0\.5 +0\.75 ", lines[5])
    assert lines[7].strip() == "letters"
    assert lines[-1].startswith("6 versions in sqlite:///")


def test_list_of_one_model(run):
    done = run("list", "letters")
    assert "digits" not in done.stdout
    assert "1 version in" in done.stdout


def test_list_can_be_cut_sorted_and_chosen_from(run):
    def listed(*options):
        lines = run("list", "digits", *options).stdout.splitlines()[2:-1]
        return [line.split()[0] for line in lines]

    assert listed("--limit", "2") == ["1.2.1", "1.3.0"]
    assert listed("--status", "failed") == ["1.1.0"]
    assert listed("--sort", "created asc", "--limit", "2") == ["1.0.0", "1.1.0"]
    assert listed("--sort", "metrics.loss")[0] == "1.3.0"
    assert run("list", "--status", "none-such").exit_code == 2
    assert run("list", "--limit", "0").exit_code == 2


def test_list_as_json(run, place):
    content = json.loads(run("list", "digits", "--format", "json").stdout)
    assert content["registry"] == f"sqlite:///{place}"
    assert content["storage"] == str(place.parent)
    with ModelRegistry(place) as registry:
        expected = registry.list("digits")
    assert [each["checksum"] for each in content["versions"]] == [
        version.checksum for version in expected
    ]
    failed = content["versions"][3]
    assert failed["status"] == "failed"
    assert failed["metrics"]["train_clientapp"] == {"train_drift": "nan"}
    assert failed["created_at"] == expected[3].created_at.isoformat()


def test_show_tells_all_of_a_version(run, place):
    done = run("show", "digits:1.1.0")
    assert (done.exit_code, done.stderr) == (0, "")
    with ModelRegistry(place) as registry:
        version = registry.get("digits:1.1.0")
    for fact in (
        *("digits:1.1.0", "failed", "experiment, round 2", "FedAvg", "MLP"),
        *("NaN in layer", "train_drift", "nan", "accuracy", "0.75"),
        *("node-a", "100.0%", "node-b", "no reply", r"timed \x1b[31mout"),
        *("[bold]not markup[/bold]", version.checksum, version.fingerprint),
        f"{place.parent}/{version.storage_path}",
    ):
        assert fact in done.stdout, fact


def test_show_as_json(run):
    content = json.loads(run("show", "digits:1.1.0", "--format", "json").stdout)
    assert content["version"]["validation_errors"] == ["NaN in layer"]
    assert content["run"]["provenance"]["flwr_run_id"] == "123"
    assert [each["status"] for each in content["contributions"]] == ["ok", "no_reply"]
    outside = json.loads(run("show", "letters", "--format", "json").stdout)
    assert (outside["run"], outside["contributions"]) == (None, [])


def test_lineage_is_a_tree_with_branches(run):
    done = run("lineage", "digits:1.0.0")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    shape = [re.sub(r"(\d+\.\d+\.\d+).*?(from .*)?$", r"\1 \2", line) for line in lines]
    assert [line.rstrip() for line in shape] == [
        "digits",
        "├── 1.0.0",
        "│   └── 1.1.0 from 1.0.0",
        "├── 1.2.0 from 1.0.0",
        "│   └── 1.2.1 from 1.2.0",
        "└── 1.3.0 from 1.2.0",
    ]
    assert "experiment round 3  loss 0.3333  accuracy 0.75" in lines[3]


def test_lineage_of_a_branch_shows_its_own_line(run):
    lines = run("lineage", "digits:1.2.1").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["1.0.0", "1.2.0", "1.2.1"]


@pytest.mark.slow
def test_lineage_of_a_long_line_is_not_deep(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as registry:
        for value in range(30):
            parent = f"1.{value - 1}.0" if value else None
            registry.register(weights_of(value), model="m", parent=parent)
    done = CliRunner().invoke(
        app, ["lineage", "m", "--registry", str(tmp_path / "registry.db")]
    )
    assert max(map(len, done.stdout.splitlines())) < 30


def test_lineage_as_json(run):
    content = json.loads(run("lineage", "digits:1.2.0", "--format", "json").stdout)
    assert content["version"]["version"] == "1.2.0"
    assert [each["version"] for each in content["ancestors"]] == ["1.0.0"]
    assert [each["version"] for each in content["descendants"]] == ["1.3.0", "1.2.1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "digits:1.4.1"], "did you mean "),
        (["show", "digts"], "did you mean digits"),
        (["list", "digts"], "did you mean digits"),
        (["lineage", "digits@production"], "no version of digits is in production"),
        (["show", "a b"], "names no version"),
    ],
)
def test_errors_go_to_stderr_and_exit_with_1(run, arguments, message):
    for output in ("default", "json"):
        done = run(*arguments, "--format", output)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("Error: ")
        assert message in done.stderr


@pytest.mark.parametrize(
    "arguments", [["show"], ["list", "--format", "xml"], ["promote"]]
)
def test_wrong_usage_exits_with_2(run, arguments):
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "m"], ["lineage", "m"], ["database", "upgrade"]]
)
def test_no_database_is_created(run, tmp_path, arguments):
    missing = tmp_path / "folder" / "registry.db"
    done = run(*arguments, registry=missing)
    assert done.exit_code == 1
    assert str(missing) in done.stderr
    assert not missing.parent.exists()


def test_a_registry_without_versions(run, tmp_path):
    ModelRegistry(tmp_path / "registry.db").close()
    done = run("list", registry=tmp_path / "registry.db")
    assert done.exit_code == 0
    assert done.stdout.startswith("no versions in sqlite:///")


def test_a_schema_of_another_release_is_told(run, tmp_path):
    place = tmp_path / "registry.db"
    ModelRegistry(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'future'")
    connection.close()
    done = run("list", registry=place)
    assert done.exit_code == 1
    assert "upgrade flwr-registry" in done.stderr


def test_database_upgrade(run, place):
    assert "is up to date" in run("database", "upgrade").stdout
    content = json.loads(run("database", "upgrade", "--format", "json").stdout)
    assert content["before"] == content["after"]
    assert content["registry"] == f"sqlite:///{place}"


def test_the_program_finds_the_default_place_and_prints_to_a_pipe(place):
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(flwr_registry.__file__).parents[1]),
        "FLWR_REGISTRY_URL": str(place),
    }
    program = "from flwr_registry.cli import app; app(prog_name='flwr-registry')"
    done = subprocess.run(
        [sys.executable, "-c", program, "list", "letters"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "1.0.0" in done.stdout


def test_the_version():
    done = CliRunner().invoke(app, ["--version"])
    assert done.stdout == f"flwr-registry {installed_version('flwr-registry')}\n"
