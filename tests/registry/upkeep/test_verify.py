"""Stored bytes are held against what was registered."""

import os

import pytest

from flwr_registry.errors import IntegrityError, ModelNotFoundError
from flwr_registry.records import BytesState


def path_of(registry, version):
    return f"{registry.storage.url}/{version.storage_path}"


def flip(path):
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def test_sound_damaged_and_missing_bytes(registry, add):
    sound, damaged, missing = add(1), add(2), add(3)
    flip(path_of(registry, damaged))
    os.remove(path_of(registry, missing))
    assert registry.verify(sound.reference).state is BytesState.SOUND
    found = registry.verify(damaged.reference)
    assert found.state is BytesState.DAMAGED
    assert damaged.storage_path in found.place and "SHA-256" in found.problem
    assert registry.verify(missing.reference).state is BytesState.MISSING
    with pytest.raises(IntegrityError, match=r"1[.]1[.]0"):
        registry.load(damaged.reference)


def test_damage_is_noted_once_and_cleared_when_mended(registry, add):
    version = add(1)
    flip(path_of(registry, version))
    registry.verify("digits")
    registry.verify("digits")
    noted = registry.get("digits").damaged_at
    assert noted is not None
    flip(path_of(registry, version))
    assert registry.verify("digits").state is BytesState.SOUND
    assert registry.get("digits").damaged_at is None
    actions = [each.action for each in registry.audit()][::-1]
    assert actions == ["register", "verify_failed", "verify_recovered"]


def test_all_are_verified_with_progress(registry, add):
    for value in range(4):
        add(value)
    flip(path_of(registry, registry.get("digits:1.2.0")))
    seen = []
    summary = registry.verify_all(
        progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert summary.checked == 4
    assert [each.reference for each in summary.problems] == ["digits:1.2.0"]
    with pytest.raises(ModelNotFoundError):
        registry.verify_all("cats")


def test_removed_bytes_are_no_damage(registry, add, sql):
    version = add(1)
    sql("UPDATE model_versions SET bytes_removed_at = :at", at=version.created_at)
    assert registry.verify("digits").state is BytesState.REMOVED
    assert registry.verify_all().checked == 0
