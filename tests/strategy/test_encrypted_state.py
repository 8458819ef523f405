"""With a node key, no node id is in any file, and a run goes on exactly."""

import struct

import pytest
from federation.catalogue import find
from federation.clients import NODE_IDS, NumpyClients, floating_model
from federation.in_process_grid import InProcessGrid, to_record
from federation.outcome import Play, play
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import ResumeError

KEY = "FLWR_REGISTRY_NODE_KEY"


class Remembering(FedAvg):
    """Keeps node ids in every form."""

    def __init__(self):
        super().__init__()
        self.seen: dict[object, object] = {}

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        for reply in replies:
            node = reply.metadata.src_node_id
            self.seen[node] = self.seen[str(node)] = server_round
        return super().aggregate_train(server_round, replies)


def node_ids_in(folder):
    forms = [str(node).encode() for node in NODE_IDS if len(str(node)) > 6]
    forms += [struct.pack("<Q", node) for node in NODE_IDS if node > 2**40]
    forms += [f"{node:x}".encode() for node in NODE_IDS if node > 2**40]
    assert forms
    held = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path for path, data in held.items() if any(form in data for form in forms)}


def test_a_node_id_is_found_in_each_of_files_of_one_name(tmp_path):
    node = max(NODE_IDS)
    for folder, text in {"a": f"{node}", "b": f"{node:x}", "c": ""}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.json").write_text(text)
    assert {each.parent.name for each in node_ids_in(tmp_path)} == {"a", "b"}


def run(folder, rounds, **options):
    strategy = Remembering()
    wrapped = RegistryStrategy(
        strategy,
        registry=f"sqlite:///{folder / 'registry.db'}",
        storage=folder / "store",
        run="trial",
        model="digits",
        on_error="raise",
        **options,
    )
    grid = InProcessGrid(NumpyClients())
    wrapped.start(grid, to_record(floating_model()), num_rounds=rounds)
    return strategy.seen


def test_no_node_id_is_written_and_the_state_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "a key")
    run(tmp_path, 1)
    assert node_ids_in(tmp_path) == set()
    seen = run(tmp_path, 2, resume=True)
    assert {key for key in seen if isinstance(key, int)} <= set(NODE_IDS)
    assert set(seen.values()) == {2}
    assert node_ids_in(tmp_path) == set()


@pytest.mark.parametrize("key", ["", "another"])
def test_without_the_key_a_run_does_not_go_on(tmp_path, monkeypatch, key):
    monkeypatch.setenv(KEY, "a key")
    run(tmp_path, 1)
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ResumeError, match=KEY):
        run(tmp_path, 2, resume="auto")
    with ModelRegistry(tmp_path / "registry.db", tmp_path / "store") as registry:
        assert len(registry.list()) == 1


@pytest.mark.slow
def test_the_order_of_cyclic_boosting_is_not_in_clear(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "a key")
    entry = find("message-FedXgbCyclic")

    def wrap(strategy):
        registry = ModelRegistry(tmp_path / "registry.db", tmp_path / "store")
        return RegistryStrategy(strategy, registry=registry, run="trial", resume="auto")

    play(entry, Play(rounds=2, wrap=wrap))
    assert node_ids_in(tmp_path) == set()
    bare = play(entry, Play(rounds=3))
    resumed = play(entry, Play(rounds=3, wrap=wrap))
    assert (resumed.arrays, resumed.metrics) == (bare.arrays, bare.metrics)
    assert resumed.strategy_state == bare.strategy_state
    assert resumed.random_state == bare.random_state
