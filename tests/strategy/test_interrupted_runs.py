"""Real federations that are killed or stopped, and run again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apps
import numpy as np
import pytest
from apps.flower_processes import FlowerHome, deployment, simulation

from flwr_registry import CheckpointManager, ModelRegistry
from flwr_registry.records import MetricSource
from flwr_registry.storage import LocalStorageBackend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APP = Path(apps.__file__).parent / "message_app"
MODEL = "line-message"
ROUNDS = 3
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerHome]:
    """Give a SuperLink with two SuperNodes."""
    with deployment(tmp_path_factory.mktemp("deployed")) as home:
        yield home


@pytest.fixture(scope="module")
def whole(
    deployed: FlowerHome, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, str]:
    """Run without interruption; give the digest of each round."""
    place = tmp_path_factory.mktemp("whole")
    finished = deployed.run(APP, config(place, **{"round-seconds": 0.0}))
    assert finished.status == "finished:completed", finished.log
    return digests(place)


def config(place: Path, **changes: object) -> dict[str, object]:
    return {
        "registry-url": f"sqlite:///{place / 'registry.db'}",
        "registry-storage": str(place),
        "registry-run": "trial",
        "registry-resume": "auto",
        "num-server-rounds": ROUNDS,
        "server-momentum": 0.9,
        "round-seconds": 1.5,
        **changes,
    }


def digests(place: Path) -> dict[int, str]:
    """The digests of the rounds, each of which has one version, in one line."""
    with ModelRegistry(place / "registry.db", place) as registry:
        versions = registry.list(MODEL)[::-1]
        assert registry.verify_all().problems == ()
    kept = [version for version in versions if not version.superseded]
    for parent, child in zip([None, *kept], kept, strict=False):
        assert child.parent_version == (parent.version if parent else None)
    rounds = [version.server_round for version in kept]
    assert rounds == list(range(1, ROUNDS + 1))
    return {int(version.server_round or 0): version.checksum for version in kept}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def checkpointed(place: Path, server_round: int) -> Callable[[], bool]:
    manager = CheckpointManager(LocalStorageBackend(place), "trial")
    return lambda: manager.rounds()[-1:] >= [server_round]


def evaluated(place: Path, version: str) -> Callable[[], bool]:
    def holds() -> bool:
        if not (place / "models" / MODEL / version).exists():
            return False
        with ModelRegistry(place / "registry.db", place) as registry:
            found = registry.search(f"version = '{version}'").versions
        return any(MetricSource.EVALUATE_CLIENTAPP in each.metrics for each in found)

    return holds


def goes_on(home: FlowerHome, place: Path, first_run: str, done: int) -> dict[int, str]:
    """Run again to the end; see that it went on after the rounds that were done."""
    again = home.run(APP, config(place, **{"round-seconds": 0.0}))
    assert again.status == "finished:completed", again.log
    assert f"goes on after round {done}" in again.log
    with ModelRegistry(place / "registry.db", place) as registry:
        starts = [run.provenance for run in registry.runs()]
        assert {start.name for start in starts} == {"trial"}
        assert {start.flwr_run_id for start in starts} == {first_run, again.run_id}
        weights = registry.load(f"{MODEL}@latest")
        assert all(np.isfinite(array).all() for array in weights.values())
    return digests(place)


def test_a_simulation_killed_in_a_round_goes_on_elsewhere(tmp_path, whole):
    place = tmp_path / "registry"
    place.mkdir()
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with simulation(tmp_path / "first") as home:
        run_id = home.start(APP, config(place))
        wait_for(checkpointed(place, 1))
        home.kill()
    with simulation(tmp_path / "second") as home:
        assert goes_on(home, place, run_id, 1) == whole


def test_a_killed_server_app_goes_on(deployed, tmp_path, whole):
    run_id = deployed.start(APP, config(tmp_path))
    wait_for(checkpointed(tmp_path, 1))
    deployed.kill("flwr-serverapp")
    assert goes_on(deployed, tmp_path, run_id, 1) == whole


def test_a_stopped_run_goes_on_after_its_last_finished_round(deployed, tmp_path, whole):
    rarely = {"registry-checkpoint-every": 100}
    run_id = deployed.start(APP, config(tmp_path, **rarely))
    wait_for(evaluated(tmp_path, "1.0.0"))
    assert not checkpointed(tmp_path, 1)()
    assert deployed.stop(run_id) == "finished:stopped"
    wait_for(checkpointed(tmp_path, 1))
    assert goes_on(deployed, tmp_path, run_id, 1) == whole
