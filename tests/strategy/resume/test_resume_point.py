"""The checkpoint to go on from is found beside whoever writes and removes others."""

import pytest
from checkpointing.samples import content

from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import ResumeError
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.strategy.resume.resume_point import find_resume_point


class Pruned(LocalStorageBackend):
    """A storage in which a checkpoint goes after it was listed."""

    gone = "round_000003"

    def load(self, key, *, max_bytes=None):
        if self.gone in key:
            for each in list(self.list(f"checkpoints/trial/{self.gone}")):
                self.delete(each)
        return super().load(key, max_bytes=max_bytes)


@pytest.fixture
def folder(tmp_path):
    manager = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
    for server_round in (1, 2, 3):
        manager.save(content(server_round, version=f"1.{server_round}.0"))
    return tmp_path


def test_a_version_is_found_while_another_checkpoint_is_removed(folder):
    found = find_resume_point(Pruned(folder), "trial", "digits:1.1.0")
    assert str(found) == "trial/round_000001"


def test_a_version_is_found_beside_a_damaged_checkpoint(folder):
    (folder / "checkpoints/trial/round_000003/manifest.json").write_text("{}")
    storage = LocalStorageBackend(folder)
    assert find_resume_point(storage, "trial", "1.1.0").server_round == 1
    with pytest.raises(ResumeError, match=r"trial/3 \(it cannot be read: .*1[.]2[.]0"):
        find_resume_point(storage, "trial", "1.9.0")
