"""Real federations by `flwr run`, whose registry another process then reads."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apps
import numpy as np
import pytest
from apps.flower_processes import FlowerHome, FlowerRun, deployment, simulation
from safetensors.numpy import load_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APPS = Path(apps.__file__).parent
RUNNERS = {"simulation": simulation, "deployment": deployment}
# Simulations of the message API: test_interrupted_runs, and the notebook.
WAYS = [("deployment", "message"), ("deployment", "legacy"), ("simulation", "legacy")]
ROUNDS = 3

Record = dict[str, Any]

READ = """
import json, sys
from flwr_registry import ModelRegistry

with ModelRegistry(sys.argv[1], sys.argv[2]) as registry:
    rows = []
    for version in registry.list():
        nodes = registry.contributions(version.reference)
        rows.append({
            "model": version.model,
            "version": version.version,
            "parent": version.parent_version,
            "round": version.server_round,
            "path": version.storage_path,
            "checksum": version.checksum,
            "size": version.file_size_bytes,
            "metrics": {str(source): dict(m) for source, m in version.metrics.items()},
            "nodes": [node.node_id for node in nodes],
            "examples": [node.num_examples for node in nodes],
        })
    runs = [run.provenance for run in registry.runs()]
    runs = [[run.name, run.flwr_run_id, run.app_id, run.strategy] for run in runs]
print(json.dumps({"versions": rows, "runs": runs}))
"""


@pytest.fixture(scope="module")
def homes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], FlowerHome]]:
    """Give a place where runs can be started; its processes end with the module."""
    running: dict[str, FlowerHome] = {}
    with ExitStack() as processes:

        def home(runner: str) -> FlowerHome:
            if runner not in running:
                started = RUNNERS[runner](tmp_path_factory.mktemp(runner))
                running[runner] = processes.enter_context(started)
            return running[runner]

        yield home


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Name the runner and the API of the app."""
    named: tuple[str, str] = request.param
    return named


@pytest.fixture(scope="module")
def home(way: tuple[str, str], homes: Callable[[str], FlowerHome]) -> FlowerHome:
    """Give the place of one run."""
    return homes(way[0])


@pytest.fixture(scope="module")
def api(way: tuple[str, str]) -> str:
    """Name the API of the app."""
    return way[1]


@pytest.fixture(scope="module")
def place(home: FlowerHome, api: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of one run's registry."""
    return tmp_path_factory.mktemp(f"registry-{api}")


@pytest.fixture(scope="module")
def finished(home: FlowerHome, api: str, place: Path) -> FlowerRun:
    """Run the app once; all tests of the module look at what it left."""
    config = {
        "registry-url": f"sqlite:///{place / 'registry.db'}",
        "registry-storage": str(place / "weights"),
        "registry-run": "first",
        "num-server-rounds": ROUNDS,
    }
    return home.run(APPS / f"{api}_app", config)


@pytest.fixture(scope="module")
def record(finished: FlowerRun, place: Path) -> Record:
    """Read the registry in a process of its own."""
    url, storage = f"sqlite:///{place / 'registry.db'}", str(place / "weights")
    read = subprocess.run(
        [sys.executable, "-c", READ, url, storage],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert read.returncode == 0, f"{read.stderr}\n{finished.log}"
    record: Record = json.loads(read.stdout)
    return record


def test_the_run_completes(finished: FlowerRun) -> None:
    assert finished.status == "finished:completed", finished.details


def test_each_round_is_a_version_whose_parent_is_the_round_before(
    record: Record, api: str
) -> None:
    versions = record["versions"][::-1]
    assert [row["version"] for row in versions] == ["1.0.0", "1.1.0", "1.2.0"]
    assert [row["parent"] for row in versions] == [None, "1.0.0", "1.1.0"]
    assert [row["round"] for row in versions] == [1, 2, 3]
    assert {row["model"] for row in versions} == {f"line-{api}"}


def test_the_run_is_known_by_its_name_and_by_flowers_id(
    record: Record, finished: FlowerRun, api: str
) -> None:
    (run,) = record["runs"]
    name, flwr_run_id, app_id, strategy = run
    assert (name, flwr_run_id) == ("first", finished.run_id)
    assert app_id == f"flwr-registry/line-{api}"
    assert strategy.endswith("FedAvg")


def test_both_nodes_contributed_to_every_version(record: Record) -> None:
    nodes = {tuple(sorted(row["nodes"])) for row in record["versions"]}
    assert len(nodes) == 1
    assert len(set(nodes.pop())) == 2
    assert all(row["examples"] == [32, 32] for row in record["versions"])


def test_files_are_those_that_were_registered(record: Record, place: Path) -> None:
    for row in record["versions"]:
        stored = place / "weights" / row["path"]
        content = stored.read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["checksum"]
        assert len(content) == row["size"]


def test_files_open_with_safetensors_and_hold_the_model_that_learned(
    record: Record, place: Path
) -> None:
    newest_first = [_model(place, row) for row in record["versions"]]
    for model in newest_first:
        assert {name: array.shape for name, array in model.items()} == {
            "line.weight": (1, 4),
            "line.bias": (1,),
        }
        assert all(array.dtype == np.float32 for array in model.values())
    wanted = np.array([1.0, -2.0, 0.5, 3.0])
    far = [float(abs(model["line.weight"] - wanted).sum()) for model in newest_first]
    assert far == sorted(far)
    assert len(set(far)) == ROUNDS


def test_the_evaluation_of_each_round_is_on_its_version(record: Record) -> None:
    losses = [_evaluation_loss(row) for row in record["versions"]]
    assert losses == sorted(losses)
    assert len(set(losses)) == ROUNDS


def test_the_log_names_every_version_and_both_places(
    finished: FlowerRun, place: Path
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        assert version in finished.log
    assert str(place / "registry.db") in finished.log
    assert str(place / "weights") in finished.log


def _model(place: Path, row: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = load_file(place / "weights" / row["path"])
    return model


def _evaluation_loss(row: dict[str, Any]) -> float:
    metrics = row["metrics"]["evaluate_clientapp"]
    return float(metrics.get("eval_loss", metrics.get("loss")))
