"""The number that `flwr run` prints leads to the versions."""

import json
import shutil

import numpy as np
import pytest

from flwr_registry.records import Lease, LeaseHolder, RunProvenance
from flwr_registry.registry import DatabaseLeases, ModelRegistry

ONE, TWO, EMPTY, SHARED = (
    *("15938422011743906132", "18446744073709551615"),
    *("9223372036854775808", "77"),
)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Two runs of one model, one without a version, and two of one Flower run."""
    place = tmp_path_factory.mktemp("runs")
    with ModelRegistry(place / "registry.db") as opened:
        for name, model, number, count in (
            ("trial", "digits", ONE, 2),
            ("again", "digits", TWO, 1),
            ("stopped", "digits", EMPTY, 0),
            ("left", "ink", SHARED, 1),
            ("right", "paper", SHARED, 1),
            ("by-hand", "digits", "", 1),
        ):
            run = opened.start_run(RunProvenance(name, model, flwr_run_id=number))
            for value in range(count):
                opened.register({name: np.full(3, value)}, model=model, run=run)
    return place


@pytest.fixture(autouse=True)
def runs(made_once, tmp_path):
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    with ModelRegistry(tmp_path / "registry.db") as opened:
        yield opened


def test_show_tells_what_a_run_made(run_command):
    said = run_command("show", ONE).stdout
    assert "run trial" in said and ONE in said
    assert "1.0.0" in said and "1.1.0" in said and "2.0.0" not in said
    found = json.loads(run_command("show", ONE, "--format", "json").stdout)
    assert [each["version"] for each in found["versions"]] == ["1.1.0", "1.0.0"]
    assert found["runs"][0]["provenance"]["flwr_run_id"] == ONE


def test_show_tells_of_a_run_without_versions_and_of_several_runs(run_command):
    assert "it made no version" in run_command("show", EMPTY).stdout
    said = run_command("show", SHARED).stdout
    assert "run left" in said and "run right" in said


def test_lineage_begins_at_the_newest_version_of_the_run(run_command):
    found = json.loads(run_command("lineage", ONE, "--format", "json").stdout)
    assert found["version"]["version"] == "1.1.0"
    assert "made no version" in run_command("lineage", EMPTY, code=1).stderr
    problem = run_command("lineage", SHARED, code=1).stderr
    assert "2 models" in problem and "ink:1.0.0 or paper:1.0.0" in problem


@pytest.mark.parametrize("command", ["show", "lineage"])
def test_an_unknown_number_is_told_with_those_that_are_known(run_command, command):
    problem = run_command(command, "12345", code=1).stderr
    assert "no run has Flower's number 12345, and no model this name" in problem
    assert f"{SHARED} (run right)" in problem


def test_a_number_that_is_a_models_name_too_is_asked_about(run_command, runs):
    runs.register({"w": np.ones(1)}, model="2024")
    assert "2024:1.0.0" in run_command("show", "2024").stdout
    runs.register({"w": np.ones(1)}, model=ONE)
    problem = run_command("show", ONE, code=1).stderr
    assert f"models:/{ONE}/latest" in problem
    assert "1.0.0" in run_command("show", f"models:/{ONE}/latest").stdout


def test_search_knows_the_number(runs):
    def found(expression):
        return {each.run_name for each in runs.search(expression).versions}

    assert found(f"flwr_run_id = {ONE}") == {"trial"}
    assert found(f"flwr_run_id in ('{ONE}', '{TWO}')") == {"trial", "again"}
    assert found("flwr_run_id like '184%'") == {"again"}
    assert found("flwr_run_id = 5") == set()
    assert [run.provenance.name for run in runs.runs(flwr_run_id=int(TWO))] == ["again"]


def test_a_run_is_freed_by_its_number(run_command, runs):
    def claim(name):
        holder = LeaseHolder("ward-7", 4711, user="ada")
        since = runs.runs()[0].started_at
        lease = Lease(run=name, start_number=3, token="t", holder=holder, since=since)
        DatabaseLeases(lambda: runs, name).claim(lease)

    claim("trial")
    assert "run trial was held" in run_command("run", "release", ONE).stdout
    problem = run_command("run", "release", SHARED, code=1).stderr
    assert "several runs" in problem and "left or right" in problem
    claim(ONE)
    problem = run_command("run", "release", ONE, code=1).stderr
    assert "several runs" in problem


def test_a_run_whose_name_is_another_ones_number_can_be_named(run_command, runs):
    runs.start_run(RunProvenance(ONE, "digits"))
    problem = run_command("run", "show", ONE, code=1).stderr
    assert "several runs" in problem and f"trial or runs:/{ONE}" in problem
    assert f"run {ONE}" in run_command("run", "show", f"runs:/{ONE}").stdout
    assert "run trial" in run_command("run", "show", "trial").stdout
