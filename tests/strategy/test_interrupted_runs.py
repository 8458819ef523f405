"""Real federations that are killed or stopped, and run again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apps
import pytest
from apps.flower_processes import FlowerHome, deployment, simulation
from federation.canonical import canonical
from federation.clients import Answer
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from flwr.app import MetricRecord
from flwr.serverapp.strategy import FedAvgM

from flwr_registry import CheckpointManager, ModelRegistry
from flwr_registry.records import MetricSource
from flwr_registry.storage import LocalStorageBackend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APP = Path(apps.__file__).parent / "message_app"
MODEL = "line-message"
MOMENTUM = 0.9
# The second round is another one without the momentum of the first.
ROUNDS = 2
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerHome]:
    """Give a SuperLink with two SuperNodes."""
    with deployment(tmp_path_factory.mktemp("deployed")) as home:
        yield home


@pytest.fixture(scope="module")
def whole() -> dict[int, object]:
    """Run the bare strategy without interruption; give the model of each round."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(APP)
        from line_message import task

        class Nodes:
            def train(self, node_id, server_round, arrays, config):
                num_examples = len(task.points(node_id)[0])
                return Answer(num_examples, {}, task.descend(arrays, node_id))

            def evaluate(self, node_id, server_round, arrays, config):
                return Answer(1, {"eval_loss": 0.0})

        models = {}

        def keep(server_round, arrays):
            models[server_round] = canonical(to_arrays(arrays))
            return MetricRecord()

        FedAvgM(server_momentum=MOMENTUM).start(
            grid=InProcessGrid(Nodes(), node_ids=(0, 1)),
            initial_arrays=to_record(task.initial_weights()),
            num_rounds=ROUNDS,
            evaluate_fn=keep,
        )
    return {number: models[number] for number in range(1, ROUNDS + 1)}


def config(place: Path, **changes: object) -> dict[str, object]:
    return {
        "registry-url": f"sqlite:///{place / 'registry.db'}",
        "registry-storage": str(place),
        "registry-run": "trial",
        "registry-resume": "auto",
        "num-server-rounds": ROUNDS,
        "server-momentum": MOMENTUM,
        "round-seconds": 1.5,
        **changes,
    }


def models(place: Path) -> dict[int, object]:
    """The models of the rounds, each of which has one version, in one line."""
    with ModelRegistry(place / "registry.db", place) as registry:
        versions = registry.list(MODEL)[::-1]
        assert registry.verify_all().problems == ()
        found = {
            version.server_round: canonical(dict(registry.load(version.reference)))
            for version in versions
            if not version.superseded
        }
    kept = [version for version in versions if not version.superseded]
    for parent, child in zip([None, *kept], kept, strict=False):
        assert child.parent_version == (parent.version if parent else None)
    rounds = [version.server_round for version in kept]
    assert rounds == list(range(1, ROUNDS + 1))
    return found


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


def goes_on(
    home: FlowerHome, place: Path, first_run: str, done: int
) -> dict[int, object]:
    """Run again to the end; see that it went on after the rounds that were done."""
    again = home.run(APP, config(place, **{"round-seconds": 0.0}))
    assert again.status == "finished:completed", again.log
    assert f"goes on after round {done}" in again.log
    with ModelRegistry(place / "registry.db", place) as registry:
        starts = [run.provenance for run in registry.runs()]
        assert {start.name for start in starts} == {"trial"}
        assert {start.flwr_run_id for start in starts} == {first_run, again.run_id}
    return models(place)


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
