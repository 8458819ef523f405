"""Storages that the tests of checkpoints share."""

from uuid import uuid4

import pytest

from flwr_registry.storage import FsspecStorageBackend, LocalStorageBackend


@pytest.fixture(params=["local", "memory"])
def storage(request, tmp_path):
    if request.param == "local":
        return LocalStorageBackend(tmp_path / "root")
    return FsspecStorageBackend(f"memory://{uuid4().hex}")
