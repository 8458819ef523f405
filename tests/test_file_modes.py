"""Who may read what this package makes."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import StorageError
from flwr_registry.file_modes import create_file
from flwr_registry.records import RunProvenance


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def make_all(folder: Path) -> dict[str, int]:
    """Make one of each kind; return what others than the owner may do, by path."""
    with ModelRegistry(folder / "a" / "b" / "registry.db", folder / "store") as opened:
        run = opened.start_run(RunProvenance("trial", "digits"))
        opened.register({"w": np.ones(3)}, model="digits", run=run)
        opened.export("digits", folder / "version.bundle", to="bundle")
        opened.export("digits", folder / "w.safetensors")
        opened.export("digits", folder / "card", to="huggingface")
    return modes_below(folder)


def modes_below(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }


def test_all_is_made_for_its_owner_alone(tmp_path, umask):
    modes = make_all(tmp_path)
    assert {"a", "a/b/registry.db", "a/b/registry.db-journal", "card/README.md"} < (
        modes.keys()
    )
    assert {path: mode for path, mode in modes.items() if mode & 0o077} == {}


def test_a_group_shares_what_the_option_gives_it(tmp_path, umask, monkeypatch):
    monkeypatch.setenv("FLWR_REGISTRY_UMASK", "007")
    tmp_path.chmod(0o2770)
    modes = make_all(tmp_path)
    # The option holds whatever the umask; new folders belong to the folder's group.
    assert {mode & 0o777 for mode in modes.values()} == {0o660, 0o770}
    assert modes["store"] & stat.S_ISGID


def test_the_umask_of_the_process_counts_where_that_is_asked_for(
    tmp_path, umask, monkeypatch
):
    monkeypatch.setenv("FLWR_REGISTRY_UMASK", "inherit")
    umask(0o027)
    assert set(make_all(tmp_path).values()) == {0o640, 0o750}


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, umask):
    (tmp_path / "store").mkdir(0o755)
    assert make_all(tmp_path)["store"] == 0o755


@pytest.mark.parametrize("value", ["rw", "777", "-1", "9"])
def test_an_impossible_umask_says_what_it_may_be(tmp_path, monkeypatch, value):
    monkeypatch.setenv("FLWR_REGISTRY_UMASK", value)
    with pytest.raises(StorageError, match="octal digits"):
        create_file(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "x").exists()
    # Later it would cost all that a run gives.
    with pytest.raises(StorageError, match="octal digits"):
        RegistryStrategy(FedAvg())
