"""Each start of an experiment has a folder of its own."""

import pytest
from checkpointing.samples import content

from flwr_registry.checkpointing import (
    CheckpointManager,
    each_manifest,
    latest_run_folder,
    new_run_folder,
    run_folders,
)
from flwr_registry.errors import InvalidNameError
from flwr_registry.retention import LatestN
from flwr_registry.storage import BytesContent, unbounded_storage


def test_each_start_of_an_experiment_has_a_folder_of_its_own(storage):
    assert latest_run_folder(storage, "trial") is None
    for expected in ("trial", "trial~2", "trial~3"):
        assert new_run_folder(storage, "trial") == expected
        CheckpointManager(storage, expected).save(content(1))
        assert latest_run_folder(storage, "trial") == expected
    assert new_run_folder(storage, "tria") == "tria"
    with pytest.raises(InvalidNameError):
        new_run_folder(storage, "../trial")


def test_removing_old_starts_does_not_hide_the_newest(storage):
    for run in ("trial", "trial~2", "trial~10", "trial~x", "trial2"):
        storage.save(f"checkpoints/{run}/round_000001/COMMITTED", BytesContent(b"{}"))
    storage.delete("checkpoints/trial/round_000001/COMMITTED")
    assert latest_run_folder(storage, "trial") == "trial~10"
    assert new_run_folder(storage, "trial") == "trial~11"
    storage.save("checkpoints/t.ial~3/x", BytesContent(b""))
    storage.save("checkpoints/txial~4/x", BytesContent(b""))
    assert latest_run_folder(storage, "t.ial") == "t.ial~3"


@pytest.mark.parametrize(
    "run", ["", "../x", "a/b", "trial~", "trial~1", "trial~02", "trial~2~3", "~2"]
)
def test_a_folder_has_the_name_of_a_run(storage, run):
    with pytest.raises(InvalidNameError):
        CheckpointManager(storage, run)


def test_what_others_put_beside_the_runs_is_no_run(storage):
    CheckpointManager(storage, "trial").save(content(1))
    for name in ("notes.txt", "trial/notes.txt", "x~1/a", "y~y/a", "trial/round_1/a"):
        storage.save(f"checkpoints/{name}", BytesContent(b"{}"))
    plain = unbounded_storage(storage)
    foreign = f"{plain._root}/checkpoints/my run/round_000001"
    plain._fs.makedirs(foreign)
    plain._fs.pipe_file(f"{foreign}/COMMITTED", b"")
    assert run_folders(storage) == ["trial"]
    assert [str(each) for each in each_manifest(storage)] == ["trial/1"]


def test_a_strangers_file_is_no_round_and_stays(storage):
    manager = CheckpointManager(storage, "trial", keep=LatestN(1))
    for name in ("round_000001/notes.txt", "round_0000002/manifest.json"):
        storage.save(f"checkpoints/trial/{name}", BytesContent(b"mine"))
    for server_round in (1, 2, 3):
        manager.save(content(server_round))
    assert manager.rounds() == [3]
    left = {key for key in storage.list("checkpoints") if "round_000003" not in key}
    assert left == {
        "checkpoints/trial/round_000001/notes.txt",
        "checkpoints/trial/round_0000002/manifest.json",
    }
