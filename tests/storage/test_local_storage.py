"""What only the local storage does: places, durability, folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flwr_registry.errors import StorageError
from flwr_registry.storage import (
    BytesContent,
    FsspecStorageBackend,
    LocalStorageBackend,
    storage_from_url,
)

SAVES_AND_LOGS_CALLS = """
import os, sys
from flwr_registry.storage import BytesContent, LocalStorageBackend

calls = []
for name in ("fsync", "replace"):
    real = getattr(os, name)
    def logged(*args, name=name, real=real):
        place = os.readlink(f"/proc/self/fd/{args[0]}") if name == "fsync" else args[1]
        calls.append(f"{name} {os.path.relpath(place, sys.argv[1])}")
        return real(*args)
    setattr(os, name, logged)
LocalStorageBackend(sys.argv[1]).save("models/m/a.bin", BytesContent(b"x"))
print("\\n".join(calls))
"""


def test_a_path_a_file_url_and_other_urls(tmp_path):
    assert storage_from_url(tmp_path).url == str(tmp_path)
    assert storage_from_url(f"file://{tmp_path}").url == str(tmp_path)
    assert type(storage_from_url(tmp_path).storage) is LocalStorageBackend
    assert type(storage_from_url("memory://x").storage) is FsspecStorageBackend


def test_the_place_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert LocalStorageBackend("here").url == str(tmp_path / "here")


def test_credentials_are_not_shown():
    storage = FsspecStorageBackend("memory://user:secret@root")
    assert "secret" not in storage.url + repr(storage)


def test_the_file_is_the_content(tmp_path):
    LocalStorageBackend(tmp_path).save("models/m/a.bin", BytesContent(b"abc"))
    assert (tmp_path / "models/m/a.bin").read_bytes() == b"abc"
    assert os.listdir(tmp_path / "models/m") == ["a.bin"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_file_and_folders_are_flushed_in_the_order_that_survives_power_loss(tmp_path):
    printed = subprocess.run(
        [sys.executable, "-c", SAVES_AND_LOGS_CALLS, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert printed[:2] == ["fsync .", "fsync models"]
    assert printed[2].startswith("fsync models/m/.")
    assert printed[3:] == ["replace models/m/a.bin", "fsync models/m"]


def test_delete_takes_the_folders_that_it_empties(tmp_path):
    storage = LocalStorageBackend(tmp_path / "root")
    storage.save("a/b/c.bin", BytesContent(b"x"))
    storage.save("a/d.bin", BytesContent(b"x"))
    storage.delete("a/b/c.bin")
    assert not (tmp_path / "root/a/b").exists()
    assert (tmp_path / "root/a").is_dir()
    storage.delete("a/d.bin")
    assert (tmp_path / "root").is_dir()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "root").write_text("a file where the root should be")
    with pytest.raises(StorageError, match=r"cannot save a in .*root"):
        LocalStorageBackend(tmp_path / "root").save("a", BytesContent(b"x"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_error(tmp_path):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tiny)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        storage = LocalStorageBackend(tiny / "root")
        storage.save("small", BytesContent(b"x"))
        with pytest.raises(StorageError, match="No space left on device"):
            storage.save("large", BytesContent(b"x" * 2**20))
        assert list(storage.list("")) == ["small"]
        assert os.listdir(tiny / "root") == ["small"]
    finally:
        subprocess.run(["umount", str(tiny)], check=True)
