"""Runs on the command line."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from flwr_registry.checkpointing import StorageLeases
from flwr_registry.records import Lease, LeaseHolder, RunProvenance
from flwr_registry.registry import DatabaseLeases, ModelRegistry

LEASE = Lease(
    run="trial",
    start_number=3,
    token="t",
    holder=LeaseHolder("ward-7", 4711, user="ada"),
    since=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def _held(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as opened:
        DatabaseLeases(lambda: opened, "trial").claim(LEASE)
        StorageLeases(opened.storage, "trial").claim(LEASE)


def test_a_run_is_freed_and_its_holder_named(run_command, tmp_path):
    said = run_command("run", "release", "trial").stdout
    assert "held by start 3, process 4711 of ada on ward-7, since 2026-03-01" in said
    assert "it is free now" in said
    with ModelRegistry(tmp_path / "registry.db") as opened:
        assert opened.run_lease("trial").released
        assert StorageLeases(opened.storage, "trial").newest().released
        (entry,) = opened.audit(action="release_run")
        assert entry.details["name"] == "trial"
    assert "is free already" in run_command("run", "release", "trial").stdout


def test_it_says_so_as_json(run_command):
    said = json.loads(run_command("run", "release", "trial", "--format", "json").stdout)
    assert said["was_held"]
    assert said["lease"]["released"]
    assert said["lease"]["holder"]["host"] == "ward-7"


def test_a_run_that_nobody_ever_held_is_an_error(run_command):
    result = run_command("run", "release", "trail", code=1)
    assert "no start of run trail ever held it" in result.stderr


def test_runs_are_listed_and_shown(run_command, tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as registry:
        for number, name in enumerate(("first", "second")):
            run = registry.start_run(
                RunProvenance(name, "m", flwr_run_id=f"12{number}")
            )
            registry.register({"w": np.full(2, number)}, model="m", run=run)
    lines = run_command("runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "second", "first"]
    assert lines[1].split()[1:3] == ["m", "1"] and lines[1].split()[-1] == "121"
    few = run_command("runs", "m", "--limit", "1")
    assert "first" not in few.stdout and "1 more with --limit 2" in few.stderr
    for reference in ("first", "120"):
        shown = run_command("run", "show", reference).stdout
        assert "run first" in shown and "1.0.0" in shown and "1.1.0" not in shown
    for verb in ("show", "release"):
        unknown = run_command("run", verb, "frist", code=1).stderr
        assert "; did you mean first? the newest are second, first" in unknown
    assert "known models: m" in run_command("runs", "n", code=1).stderr


def test_a_run_without_a_version_is_listed_by_its_model(run_command, tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as registry:
        registry.start_run(RunProvenance("first", "m"))
    for words in (("runs",), ("runs", "m")):
        assert "first" in run_command(*words).stdout


def test_versions_of_a_run_are_counted_and_not_loaded(
    run_command, tmp_path, monkeypatch
):
    with ModelRegistry(tmp_path / "registry.db") as registry:
        for number, name in enumerate(("first", "second", "first")):
            run = registry.start_run(RunProvenance(name, "m"))
            registry.register({"w": np.full(2, number)}, model="m", run=run)
    loaded = []
    list_versions = ModelRegistry.list

    def listed(*arguments, **options):
        found = list_versions(*arguments, **options)
        loaded.extend(found)
        return found

    monkeypatch.setattr(ModelRegistry, "list", listed)
    lines = run_command("runs", "m").stdout.splitlines()[1:]
    assert [line.split()[2] for line in lines] == ["2", "1", "2"]
    assert len(loaded) < 2
