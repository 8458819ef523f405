"""Lineage, diff, contributors, withdrawal and the audit log on the command line."""

import json

import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.records import RunProvenance
from flwr_registry.registry import ModelRegistry


@pytest.fixture(autouse=True)
def _line(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as opened:
        run = opened.start_run(RunProvenance("trial", "digits"))
        for server_round, node in enumerate(("ann", "bob", "ann"), start=1):
            opened.register(
                weights_of(server_round),
                model="digits",
                run=run,
                facts=facts_of(server_round, node, accuracy=server_round / 10),
            )
        opened.promote("digits:1.1.0")


def test_lineage_as_a_tree_as_json_and_as_a_graph(run_command):
    assert "1.1.0" in run_command("lineage", "digits").stdout
    said = json.loads(run_command("lineage", "digits", "--format", "json").stdout)
    assert [each["version"] for each in said["ancestors"]] == ["1.1.0", "1.0.0"]
    graph = run_command("lineage", "digits:1.1.0", "--dot").stdout
    assert graph.startswith('digraph "digits" {') and graph.rstrip().endswith("}")
    assert '"1.0.0" -> "1.1.0";' in graph and '"1.1.0" -> "1.2.0";' in graph


def test_diff_shows_layers_and_metrics(run_command):
    said = run_command("diff", "digits:1.0.0", "digits:1.2.0").stdout
    assert "digits:1.0.0 -> digits:1.2.0" in said
    assert "layer" in said and "accuracy" in said and "200.00%" in said
    found = json.loads(
        run_command("diff", "digits:1.0.0", "digits:1.2.0", "--format", "json").stdout
    )
    assert found["diff"]["weights"]["layers"][0]["largest_change"] == 2.0
    missing = run_command("diff", "digits:1.0.0", "digits:1.7.0", code=1)
    assert "did you mean" in missing.stderr.lower()


def test_contributors_and_what_they_touched(run_command):
    said = run_command("contributors", "digits").stdout
    assert "ann" in said and "bob" in said
    found = json.loads(run_command("affected", "bob", "--format", "json").stdout)
    assert [each["version"] for each in found["affected"]] == ["1.1.0", "1.2.0"]
    assert "node key" in run_command("affected", "eve", code=1).stderr


def test_withdraw_asks_and_tells(run_command):
    refused = run_command("withdraw", "bob", code=1)
    assert "--yes" in refused.stderr
    assert "no node was withdrawn" in run_command("withdrawals").stdout
    said = run_command("withdraw", "bob", "--yes", "--reason", "left").stdout
    assert "digits:1.1.0 left production" in said
    assert "in place of digits:1.2.0: train from digits:1.0.0" in said
    assert "keep what they learned" in said
    assert "left" in run_command("withdrawals").stdout
    assert "withdrawn" in run_command("lineage", "digits").stdout


def test_the_audit_log(run_command, tmp_path):
    assert "promote" in run_command("audit", "list", "--limit", "1").stdout
    check = json.loads(run_command("audit", "verify", "--format", "json").stdout)
    newest = check["check"]["newest_hash"]
    assert newest in run_command("audit", "verify").stdout
    run_command("audit", "verify", "--expect-hash", newest)
    cut = run_command("audit", "verify", "--expect-hash", "0" * 63 + "1", code=1)
    assert "cut off" in cut.stdout
    run_command("audit", "export", str(tmp_path / "audit.jsonl"))
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines][-1] == "promote"
    assert run_command("audit", "export").stdout.splitlines() == lines
    run_command("audit", "export", str(tmp_path / "audit.jsonl"), code=1)


def test_the_audit_log_goes_into_a_new_file_or_an_error_says_why(run_command, tmp_path):
    for place, told in (
        (tmp_path / "none" / "audit.jsonl", "there is no folder"),
        (tmp_path, "is there already"),
    ):
        problem = run_command("audit", "export", str(place), code=1).stderr
        assert problem.startswith("Error: ") and told in problem
    run_command("audit", "export", str(tmp_path / "new.jsonl"))
    assert (tmp_path / "new.jsonl").stat().st_mode & 0o777 == 0o600
