"""verify, gc and doctor on the command line."""

import json
import os
from pathlib import Path

import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.records import RunProvenance
from flwr_registry.registry import ModelRegistry


@pytest.fixture(autouse=True)
def _five(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as opened:
        run = opened.start_run(RunProvenance("trial", "digits"))
        for n in range(1, 6):
            facts = facts_of(n, accuracy=n / 10)
            opened.register(weights_of(n), model="digits", run=run, facts=facts)


def damage(tmp_path, version):
    (path,) = Path(tmp_path / "models" / "digits" / version).glob("*.safetensors")
    path.write_bytes(b"something else")


def test_verify_one_and_all(run_command, tmp_path):
    assert "is sound" in run_command("verify", "digits:1.1.0").stdout
    assert "verified: 5; damaged: none" in run_command("verify", "--all").stdout
    damage(tmp_path, "1.1.0")
    assert "is damaged" in run_command("verify", "digits:1.1.0", code=1).stdout
    said = run_command("verify", "--model", "digits", "--format", "json", code=1).stdout
    (problem,) = json.loads(said)["verification"]["problems"]
    assert problem["reference"] == "digits:1.1.0"
    run_command("verify", code=2)


def test_gc_shows_asks_and_removes(run_command):
    shown = run_command("gc", "--keep-latest", "1", "--dry-run").stdout
    assert "digits:1.3.0" in shown and "keep their rows: 3;" in shown
    assert "--yes" in run_command("gc", "--keep-latest", "1", code=1).stderr
    said = run_command("gc", "--keep-latest", "1", "--yes").stdout
    assert "came back" in said
    assert "bytes removed" in run_command("list", "digits").stdout
    assert "nothing to remove" in run_command("gc", "--keep-latest", "1").stdout


def test_gc_by_metric_and_age(run_command):
    words = ("gc", "--keep-best", "1", "--metric", "accuracy", "--mode", "min")
    planned = json.loads(run_command(*words, "--dry-run", "--format", "json").stdout)
    gone = [each["reference"] for each in planned["collection"]["versions"]]
    assert gone == ["digits:1.1.0", "digits:1.2.0", "digits:1.3.0"]
    nothing = run_command("gc", "--keep-younger-than", "1d", "--dry-run")
    assert "nothing to remove" in nothing.stdout
    run_command("gc", "--keep-younger-than", "soon", code=2)
    run_command("gc", "--keep-best", "1", code=2)
    run_command("gc", "--keep-latest", "0", code=2)


def test_doctor_tells_how_to_mend(run_command, tmp_path):
    assert "all is well" in run_command("doctor").stdout
    damage(tmp_path, "1.1.0")
    assert "all is well" in run_command("doctor").stdout
    said = run_command("doctor", "--deep", code=1).stdout
    assert "digits:1.1.0" in said and "backup" in said
    found = json.loads(run_command("doctor", "--format", "json", code=1).stdout)
    assert found["findings"][0]["severity"] == "error"


def test_gc_explains(run_command):
    said = run_command("gc", "--keep-latest", "1", "--explain").stdout
    assert "the policy keeps only the newest" in said and "it is a root" in said
    assert "bytes that stay: 2; that go: 3; that are gone: 0" in said
    words = ("gc", "--keep-latest", "1", "--explain", "--format", "json")
    told = json.loads(run_command(*words).stdout)["versions"]
    assert [each["fate"] for each in told] == ["stays", "goes", "goes", "goes", "stays"]
    assert told[1]["reasons"] == ["the policy keeps only the newest"]
    run_command("gc", "--keep-latest", "1", "--yes")
    said = run_command("gc", "--keep-latest", "1", "--explain").stdout
    assert "that are gone: 3" in said


def test_unknown_files_are_shown_and_deleted(run_command, tmp_path):
    path = tmp_path / "models" / "digits" / "1.9.0" / "0123456789ab.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    os.utime(path, (1e9, 1e9))
    (tmp_path / "models" / "my notes").write_bytes(b"1")
    said = run_command("doctor").stdout
    assert "1 unknown file (5 bytes)" in said and "--older-than 7d" in said
    assert "1 foreign file (1 byte)" in said and "'models/my notes'" in said
    words = ("delete-unknown", "--older-than", "7d")
    said = run_command(*words, "--dry-run").stdout
    assert "1.9.0/0123456789ab" in said and "2001-09-09" in said
    assert "links and foreign names: 1" in said
    assert "--yes" in run_command(*words, code=1).stderr
    planned = run_command(*words, "--dry-run", "--format", "json").stdout
    assert json.loads(planned)["deletion"]["size_bytes"] == 5
    assert path.exists()
    assert "deleted: 1; 5 bytes came back" in run_command(*words, "--yes").stdout
    assert not path.exists()
    assert "nothing to delete" in run_command(*words).stdout
    for age in ("0d", "soon", "9999999d"):
        run_command("delete-unknown", "--older-than", age, code=2)
    run_command("delete-unknown", code=2)
