"""Each start of an experiment has a folder of its own."""

import pytest
from checkpointing.samples import content

from flwr_registry.checkpointing import (
    CheckpointManager,
    latest_run_folder,
    new_run_folder,
)
from flwr_registry.errors import InvalidNameError
from flwr_registry.storage import BytesContent


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
