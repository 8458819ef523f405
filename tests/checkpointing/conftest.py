"""Storages that the tests of checkpoints share."""

from uuid import uuid4

import pytest

from flwr_registry.storage import FsspecStorage, LocalStorage


@pytest.fixture(params=["local", "memory"])
def storage(request, tmp_path):
    if request.param == "local":
        return LocalStorage(tmp_path / "root")
    return FsspecStorage(f"memory://{uuid4().hex}")
