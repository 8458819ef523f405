"""A resume against what the registry knows: digests before numbers."""

import json
import os
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from federation.clients import Answer, NumpyClients
from federation.crashes import CRASHED, run_in_child
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.checkpointing.checkpoint import read_manifest
from flwr_registry.errors import ResumeError
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

MODEL = {"w": np.zeros(4, np.float32), "b": np.zeros(2, np.float32)}


class Far(NumpyClients):
    """Nodes of another run, which end elsewhere."""

    def train(self, node_id, server_round, arrays, config):
        far = {name: each + 100 for name, each in arrays.items()}
        return Answer(10, {"train_loss": 1.0}, far)


class Broken(NumpyClients):
    def train(self, node_id, server_round, arrays, config):
        bad = {name: each * np.nan for name, each in arrays.items()}
        return Answer(10, {"train_loss": 1.0}, bad)


def start(folder, rounds, *, strategy=FedAvg, clients=None, **options):
    random.seed(3)
    given = {"run": "trial", "resume": "auto", "model": "m", "on_error": "raise"}
    given["registry"] = str(folder / "registry.db")
    wrapped = RegistryStrategy(strategy(), **{**given, **options})
    grid = InProcessGrid(clients or NumpyClients())
    return wrapped.start(grid=grid, initial_arrays=to_record(MODEL), num_rounds=rounds)


def opened(folder):
    return ModelRegistry(folder / "registry.db")


def lose_database(folder):
    """Lose the database of a run, whose numbers another run then takes."""
    (folder / "registry.db").unlink()
    start(folder, 3, run="other", clients=Far())


def test_numbers_that_another_run_took_are_refused(tmp_path):
    start(tmp_path, 2)
    lose_database(tmp_path)
    with pytest.raises(ResumeError, match=r"m:1\.0\.0 with the digest.*--rebuild"):
        start(tmp_path, 3, on_error="warn")
    with opened(tmp_path) as registry:
        assert {each.run_name for each in registry.list("m")} == {"other"}
        assert [run.provenance.name for run in registry.runs()] == ["other"]


def test_a_rebuild_brings_them_back_under_free_numbers(tmp_path):
    whole = start(tmp_path / "whole", 3)
    folder = tmp_path / "parts"
    start(folder, 2)
    with opened(folder) as registry:
        before = {v.server_round: v.checksum for v in registry.list("m")}
    lose_database(folder)
    with opened(folder) as registry:
        problems = [each.problem for each in registry.doctor()]
        assert any("the database has it with" in each for each in problems)
        assert registry.rebuild() == ["m:1.3.0", "m:1.4.0"]
        assert registry.rebuild() == []
        assert registry.doctor() == []
        back = {v.server_round: v for v in registry.list("m", run="trial")}
        assert {number: v.checksum for number, v in back.items()} == before
        assert back[2].parent_version == back[1].version
    parts = start(folder, 3)
    for name, array in to_arrays(whole.arrays).items():
        np.testing.assert_array_equal(to_arrays(parts.arrays)[name], array)
    with opened(folder) as registry:
        newest = registry.list("m", run="trial")[0]
        assert (newest.server_round, newest.parent_version) == (3, "1.4.0")
        assert registry.doctor() == []


def test_a_rejected_first_round_leaves_the_checkpoints_own_weights(tmp_path):
    start(tmp_path, 2)
    lose_database(tmp_path)
    with opened(tmp_path) as registry:
        registry.rebuild()
    start(tmp_path, 3, clients=Broken())
    own, after = (
        CheckpointManager(LocalStorageBackend(tmp_path), "trial").load_round(number)
        for number in (2, 3)
    )
    assert after.stored_weights.sha256 == own.stored_weights.sha256
    np.testing.assert_array_equal(after.weights["w"], own.weights["w"])


def test_a_checkpoint_whose_weights_were_swapped_is_refused(tmp_path):
    start(tmp_path, 2)
    start(tmp_path, 1, run="other", clients=Far())
    folder = tmp_path / "checkpoints/trial/round_000002"
    text = (folder / "manifest.json").read_bytes()
    fields = json.loads(text)
    with opened(tmp_path) as registry:
        other = registry.list("m", run="other")[0]
    fields["weights"] = fields["rounds"]["2"]["weights"] = {
        "key": other.storage_path,
        "size_bytes": other.file_size_bytes,
        "sha256": other.checksum,
    }
    content = read_manifest(json.dumps(fields).encode()).content
    CheckpointManager(LocalStorageBackend(tmp_path), "trial").save(content)
    with pytest.raises(ResumeError, match=r"m:1\.1\.0 with the digest"):
        start(tmp_path, 3)
    with opened(tmp_path) as registry:
        subjects = [each.subject for each in registry.doctor()]
    assert subjects == ["checkpoint trial/2"]


def test_registries_on_one_storage_do_not_take_each_others_checkpoints(tmp_path):
    def at(name):
        return {
            "registry": str(tmp_path / f"{name}.db"),
            "storage": str(tmp_path / "shared"),
        }

    start(tmp_path, 2, **at("first"))
    with pytest.raises(ResumeError, match="are of the registry at"):
        start(tmp_path, 1, clients=Far(), **at("second"))
    with pytest.raises(ResumeError, match="are of the registry at"):
        start(tmp_path, 3, clients=Far(), **{**at("second"), "resume": "trial/2"})
    start(tmp_path, 1, clients=Far(), **{**at("second"), "resume": False})
    start(tmp_path, 3, **at("first"))
    start(tmp_path, 2, clients=Far(), **at("second"))
    rounds = {}
    for name in ("first", "second"):
        with ModelRegistry(tmp_path / f"{name}.db", tmp_path / "shared") as registry:
            rounds[name] = [each.server_round for each in registry.list("m")]
    assert rounds == {"first": [3, 2, 1], "second": [2, 1]}


def test_an_empty_registry_takes_the_place_of_a_lost_one_where_one_insists(tmp_path):
    def at(name):
        return {
            "registry": str(tmp_path / f"{name}.db"),
            "storage": str(tmp_path / "shared"),
        }

    start(tmp_path, 2, **at("lost"))
    (tmp_path / "lost.db").unlink()
    start(tmp_path, 3, **{**at("new"), "resume": True})
    with ModelRegistry(tmp_path / "new.db", tmp_path / "shared") as registry:
        assert [each.server_round for each in registry.list("m")] == [3, 2, 1]


def test_a_database_that_was_moved_knows_its_checkpoints(tmp_path):
    start(tmp_path / "here", 2)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    start(tmp_path / "there", 3)
    with opened(tmp_path / "there") as registry:
        assert len(registry.list("m")) == 3


def crash_in_first_round(folder, monkeypatch, **options):
    """End the process once a version is registered, before any checkpoint."""

    def configure_evaluate(self, *args):
        with opened(folder) as registry:
            while not registry.list("m"):
                pass
        os._exit(CRASHED)

    with monkeypatch.context() as patch:
        patch.setattr(FedAvg, "configure_evaluate", configure_evaluate)
        assert run_in_child(lambda: start(folder, 3, **options)) == CRASHED


@pytest.mark.parametrize("is_same", [True, False])
def test_a_version_before_the_first_checkpoint_is_reused_or_superseded(
    tmp_path, monkeypatch, is_same
):
    start(tmp_path / "whole", 3)
    folder = tmp_path / "parts"
    crash_in_first_round(
        folder, monkeypatch, clients=NumpyClients() if is_same else Far()
    )
    start(folder, 3)
    with opened(folder) as registry:
        versions = registry.list("m")[::-1]
        assert len(versions) == (3 if is_same else 4)
        assert [each.superseded for each in versions[:1]] == [not is_same]
        assert not any(each.superseded for each in versions[1:])
        live = [each.checksum for each in versions if not each.superseded]
    with opened(tmp_path / "whole") as registry:
        assert live == [each.checksum for each in registry.list("m")[::-1]]


def test_a_new_start_that_does_not_resume_leaves_what_is_there(tmp_path):
    start(tmp_path, 1, clients=Far(), resume=False)
    start(tmp_path, 1, resume=False)
    with opened(tmp_path) as registry:
        assert [each.superseded for each in registry.list("m")] == [False, False]


def test_what_came_after_a_checkpoint_without_a_version_is_superseded(
    tmp_path, monkeypatch
):
    start(tmp_path, 3)
    manager = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
    second = manager.load_round(2)
    fields = read_manifest(
        (tmp_path / "checkpoints/trial/round_000002/manifest.json").read_bytes()
    ).content
    rounds = {number: fields.rounds[number] for number in (1,)}
    manager.save(replace(fields, version=None, weights=second.weights, rounds=rounds))
    start(tmp_path, 3, clients=Far(), resume="trial/2")
    with opened(tmp_path) as registry:
        superseded = {v.version for v in registry.list("m") if v.superseded}
    assert "1.2.0" in superseded
