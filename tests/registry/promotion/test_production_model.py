"""Weights and record of what is in production, of one version at every moment."""

import asyncio

import numpy as np
import pytest
from registry.samples import weights_of

from flwr_registry.errors import (
    IntegrityError,
    InvalidStateError,
    ModelNotFoundError,
    NoProductionModelError,
    ObjectNotFoundError,
)
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.storage import LocalStorageBackend


class Interrupted(LocalStorageBackend):
    """A real storage; something happens just before an object is read."""

    def __init__(self, root):
        super().__init__(root)
        self.interruptions = []

    def open(self, key):
        while self.interruptions:
            self.interruptions.pop(0)()
        return super().open(key)


@pytest.fixture
def storage(tmp_path):
    return Interrupted(tmp_path / "weights")


@pytest.fixture(params=["blocking", "awaited"])
def production_model(request, database_url, storage):
    """Return what either registry reads of a model in production."""

    def blocking(model):
        with ModelRegistry(database_url, storage) as opened:
            return opened.get_production_model(model)

    async def awaited(model):
        async with AsyncModelRegistry(database_url, storage) as opened:
            return await opened.get_production_model(model)

    def run(model):
        return asyncio.run(awaited(model))

    return blocking if request.param == "blocking" else run


def remove(registry, sql, version):
    """Take the bytes of a version, as retention does."""
    stored = registry.get(version).storage_path
    sql(
        "UPDATE model_versions SET bytes_removed_at = :now WHERE storage_path = :path",
        now="2026-01-02 00:00:00+00:00",
        path=stored,
    )
    registry.storage.delete(stored)


def test_it_is_the_verified_version_in_production(registry, add, production_model):
    add(1), add(2)
    expected = registry.promote("digits:1.0.0")
    weights, record = production_model("digits")
    assert record == expected
    np.testing.assert_array_equal(weights["layer"], weights_of(1)["layer"])


def test_a_promotion_in_between_mixes_no_two_versions(
    registry, add, storage, production_model
):
    add(1), add(2)
    registry.promote("digits:1.0.0")
    storage.interruptions.append(lambda: registry.promote("digits:1.1.0"))
    weights, record = production_model("digits")
    assert record.version == "1.0.0"
    np.testing.assert_array_equal(weights["layer"], weights_of(1)["layer"])


def test_bytes_that_go_after_a_promotion_lead_to_the_next_version(
    registry, add, sql, storage, production_model
):
    add(1), add(2), add(3)
    registry.promote("digits:1.0.0")

    def replaced(former, new):
        registry.promote(new)
        remove(registry, sql, former)

    storage.interruptions.append(lambda: replaced("digits:1.0.0", "digits:1.1.0"))
    weights, record = production_model("digits")
    assert (record.version, record.is_production) == ("1.1.0", True)
    np.testing.assert_array_equal(weights["layer"], weights_of(2)["layer"])


def test_what_cannot_be_read_is_said(registry, add, sql, production_model):
    with pytest.raises(ModelNotFoundError):
        production_model("digits")
    stored = add(1)
    with pytest.raises(NoProductionModelError):
        production_model("digits")
    registry.promote("digits")
    path = f"{registry.storage.url}/{stored.storage_path}"
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(IntegrityError):
        production_model("digits")
    registry.storage.delete(stored.storage_path)
    with pytest.raises(ObjectNotFoundError):
        production_model("digits")
    remove(registry, sql, "digits")
    with pytest.raises(InvalidStateError, match="removed by retention"):
        production_model("digits")
