"""Many processes at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flwr_registry

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(flwr_registry.__file__).parents[1]),
}
WRITES = """
import sys
import numpy as np
from flwr_registry.records import Contribution, MetricSource, RoundFacts, RunProvenance
from flwr_registry.registry import ModelRegistry

url, storage, name, rounds = sys.argv[1:]
sys.stdin.readline()
with ModelRegistry(url, storage, lock_timeout_seconds=60) as registry:
    run = registry.start_run(RunProvenance(name, "digits"))
    for server_round in range(1, int(rounds) + 1):
        weights = {"layer": np.full(4, hash((name, server_round)) % 10**6, np.float32)}
        facts = RoundFacts(server_round, {}, [Contribution("node")])
        version = registry.register(weights, model="digits", run=run, facts=facts)
        registry.record_metrics(
            run, server_round, MetricSource.EVALUATE_SERVERAPP, {"loss": 1.0},
            measured=version,
        )
        print(version.version, version.parent_version)
"""
SAME = """
import sys
import numpy as np
from flwr_registry.registry import ModelRegistry

url, storage, _, _ = sys.argv[1:]
sys.stdin.readline()
with ModelRegistry(url, storage, lock_timeout_seconds=60) as registry:
    weights = {"layer": np.ones(4, np.float32)}
    print(registry.register(weights, model="digits", version="1.0.0").id)
"""


def run_eight(code, url, storage, rounds=5):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, storage, f"run-{index}", str(rounds)],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(8)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=180) for process in processes]
    assert [error for _, error in answers if error] == []
    return [output.splitlines() for output, _ in answers]


@pytest.mark.slow
def test_eight_processes_register_into_one_model(registry, database_url, sql):
    printed = run_eight(WRITES, database_url, registry.storage.url)
    versions = registry.list("digits")
    numbers = {version.version for version in versions}
    assert len(versions) == len(numbers) == 40
    assert numbers == {f"1.{minor}.0" for minor in range(40)}
    for lines in printed:
        own = [line.split() for line in lines]
        assert [parent for _, parent in own] == ["None", *(n for n, _ in own[:-1])]
    assert all(version.val_loss == 1.0 for version in versions)
    assert sql("SELECT * FROM uploads") == []
    registered = "SELECT * FROM model_audit_logs WHERE action = 'register'"
    assert len(sql(registered)) == 40


@pytest.mark.slow
def test_eight_processes_register_the_same_version(registry, database_url, sql):
    printed = run_eight(SAME, database_url, registry.storage.url)
    assert {tuple(lines) for lines in printed} == {("1",)}
    assert len(registry.list()) == 1
    assert len(registry.load("digits")) == 1
    assert sql("SELECT * FROM uploads") == []
