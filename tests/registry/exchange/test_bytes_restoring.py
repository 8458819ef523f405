"""A bundle gives a version its bytes back, and no others."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from registry.samples import weights_of

from flwr_registry import LatestN
from flwr_registry.errors import DuplicateVersionError, InvalidStateError
from flwr_registry.records import BytesState
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry


@pytest.fixture
def bundle(registry, add, tmp_path):
    """The bundle of digits:1.1.0, one of four versions."""
    for value in range(4):
        add(value, parent=f"1.{value - 1}.0" if value else None)
    return registry.export("digits:1.1.0", tmp_path / "bundle", to="bundle")


@pytest.fixture(params=["blocking", "awaited"])
def imported(request, registry, bundle):
    """Import the bundle by either registry."""

    async def awaited():
        async with AsyncModelRegistry(registry.url, registry.storage) as opened:
            return await opened.import_bundle(bundle)

    if request.param == "blocking":
        return lambda: registry.import_bundle(bundle)
    return lambda: asyncio.run(awaited())


def path_of(registry, version):
    return Path(registry.storage.url, version.storage_path)


def removed(registry):
    registry.gc(LatestN(1), grace_seconds=0)
    version = registry.get("digits:1.1.0")
    assert version.bytes_removed_at is not None
    return version


def lost(registry):
    version = registry.get("digits:1.1.0")
    registry.storage.delete(version.storage_path)
    return version


def damaged(registry):
    version = registry.get("digits:1.1.0")
    with path_of(registry, version).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert registry.verify("digits:1.1.0").state is BytesState.DAMAGED
    return version


@pytest.mark.parametrize("harm", [removed, lost, damaged])
def test_what_was_lost_comes_back(registry, imported, harm, sql):
    before = harm(registry)
    made = imported()
    assert made == registry.get("digits:1.1.0")
    assert (made.id, made.checksum, made.status) == (
        *(before.id, before.checksum, before.status),
    )
    assert made.bytes_removed_at is made.damaged_at is None
    np.testing.assert_array_equal(
        registry.load("digits:1.1.0")["layer"], weights_of(1)["layer"]
    )
    assert registry.verify_audit().problems == ()
    assert sql("SELECT count(*) AS left_over FROM uploads") == [{"left_over": 0}]
    entries = sql("SELECT action, version FROM model_audit_logs ORDER BY id")
    assert entries[-1] == {"action": "restore_bytes", "version": "1.1.0"}
    # Repeated, it changes nothing.
    assert imported() == made
    assert sql("SELECT action, version FROM model_audit_logs ORDER BY id") == entries
    registry.gc(grace_seconds=0)
    assert registry.verify("digits:1.1.0").state is BytesState.SOUND


def test_bytes_that_are_whole_are_not_written_again(registry, imported, sql):
    version = registry.get("digits:1.1.0")
    written = path_of(registry, version).stat()
    imported()
    # As a crash of garbage collection leaves it: given up, and not yet removed.
    sql(
        "UPDATE model_versions SET bytes_removed_at = '2026-01-02 00:00:00+00:00' "
        "WHERE version = '1.1.0'"
    )
    assert imported().bytes_removed_at is None
    after = path_of(registry, version).stat()
    assert (after.st_ino, after.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_other_bytes_of_the_same_number_are_refused(registry, bundle, tmp_path):
    removed(registry)
    with ModelRegistry(tmp_path / "other.db", tmp_path / "other") as other:
        other.register(weights_of(8), model="digits", version="1.1.0")
        foreign = other.export("digits", tmp_path / "foreign", to="bundle")
    with pytest.raises(DuplicateVersionError, match="with other bytes"):
        registry.import_bundle(foreign)
    with pytest.raises(InvalidStateError, match="from a bundle"):
        registry.load("digits:1.1.0")
