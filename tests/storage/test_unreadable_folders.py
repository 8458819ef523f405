"""A folder that cannot be listed is no empty one.

Whoever collects garbage would take what lies there for unneeded.
"""

import os

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from flwr_registry.errors import StorageError
from flwr_registry.storage import (
    BytesContent,
    FsspecStorageBackend,
    LocalStorageBackend,
)


class Strange(MemoryFileSystem):
    """A file system of a stranger, through which fsspec goes folder by folder."""

    protocol = "strange"
    find = AbstractFileSystem.find

    def ls(self, path, detail=True, **options):
        if path.endswith("checkpoints/broken"):
            raise OSError(5, "Input/output error")
        if path.endswith("checkpoints/gone"):
            raise FileNotFoundError(path)
        return super().ls(path, detail=detail, **options)


@pytest.fixture(params=["local", "strange"])
def storage(request, tmp_path, monkeypatch):
    if request.param == "strange":
        fsspec.register_implementation("strange", Strange, clobber=True)
        return FsspecStorageBackend("strange://root")
    real = os.scandir

    def scandir(place):
        if str(place).endswith("checkpoints/broken"):
            raise OSError(5, "Input/output error")
        if str(place).endswith("checkpoints/gone"):
            raise FileNotFoundError(place)
        return real(place)

    monkeypatch.setattr("os.scandir", scandir)
    return LocalStorageBackend(tmp_path)


def test_what_cannot_be_listed_is_told(storage):
    storage.save("checkpoints/gone/x", BytesContent(b"x"))
    storage.save("checkpoints/here/x", BytesContent(b"x"))
    assert list(storage.list("")) == ["checkpoints/here/x"]
    storage.save("checkpoints/broken/x", BytesContent(b"x"))
    with pytest.raises(StorageError, match="Input/output error"):
        list(storage.list(""))
