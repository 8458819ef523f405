"""What is wrong is found, and each finding says how to mend it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from registry.samples import facts_of

from flwr_registry.checkpointing import CheckpointContent, CheckpointManager
from flwr_registry.errors import ObjectUnreadableError
from flwr_registry.records import BytesState, Severity, StoredObject
from flwr_registry.registry import ModelRegistry
from flwr_registry.retention import LatestN
from flwr_registry.storage import LocalStorageBackend


@pytest.fixture
def three(registry, add, start):
    run = start()
    for n in range(3):
        add(n, run=run, facts=facts_of(n + 1))
    return registry


def found(registry, **how):
    return {each.subject: each for each in registry.doctor(**how)}


def path_of(registry, version):
    return Path(registry.storage.url) / registry.get(version).storage_path


def test_a_sound_registry_has_no_finding(three):
    three.promote("digits:1.0.0")
    assert three.doctor() == three.doctor(deep=True) == []


def test_missing_and_damaged_bytes(three):
    os.remove(path_of(three, "digits:1.1.0"))
    path_of(three, "digits:1.2.0").write_bytes(b"something else")
    shallow = found(three)
    assert set(shallow) == {"digits:1.1.0"}
    assert shallow["digits:1.1.0"].severity is Severity.ERROR
    assert "backup" in shallow["digits:1.1.0"].remedy
    assert set(found(three, deep=True)) == {"digits:1.1.0", "digits:1.2.0"}
    assert three.get("digits:1.2.0").damaged_at is not None


def test_a_link_that_leads_nowhere_is_no_file(three, tmp_path):
    place = path_of(three, "digits:1.1.0")
    os.rename(place, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", place)
    assert three.doctor(deep=True) == []
    os.remove(tmp_path / "elsewhere")
    assert set(found(three)) == {"digits:1.1.0"}
    assert three.verify("digits:1.1.0").state is BytesState.MISSING


def test_bytes_that_may_not_be_read_are_no_damage(database_url, tmp_path, add):
    add(1), add(2)

    class Forbidden(LocalStorageBackend):
        def open(self, key):
            if "/1.0.0/" in key:
                # Root may read anything, so the storage has to refuse here.
                raise ObjectUnreadableError("Permission denied", key=key)
            return super().open(key)

    place = Forbidden(tmp_path / "weights")
    with ModelRegistry(database_url, place) as registry:
        (problem,) = registry.verify_all().problems
        assert problem.state is BytesState.UNREADABLE
        (finding,) = registry.doctor(deep=True)
        assert finding.subject == "digits:1.0.0" and "let whoever" in finding.remedy
        assert registry.get("digits:1.0.0").damaged_at is None
        assert registry.gc(LatestN(1)).versions == ()


def test_damage_in_production_is_mended_by_a_rollback(three):
    three.promote("digits:1.2.0")
    path_of(three, "digits:1.2.0").write_bytes(b"something else")
    three.verify("digits@production")
    assert found(three)["digits:1.2.0"].remedy == "flwr-registry rollback digits"


def test_orphans_and_stale_uploads(three, sql):
    version = three.get("digits")
    sql(
        "UPDATE model_versions SET bytes_removed_at = :at WHERE version = '1.1.0'",
        at=version.created_at,
    )
    sql(
        "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
        "storage_prefix, created_at) SELECT id, 1, 9, 0, '', :no, "
        "'models/digits/1.9.0', :at FROM registered_models",
        no=False,
        at=version.created_at - timedelta(days=2),
    )
    findings = found(three)
    size = three.get("digits:1.1.0").file_size_bytes
    assert set(findings) == {
        f"1 left-over file ({size} bytes)",
        "models/digits/1.9.0",
        # No entry of the audit log says that its bytes were removed.
        "digits:1.1.0",
    }
    del findings["digits:1.1.0"]
    assert {each.remedy for each in findings.values()} == {"flwr-registry gc"}
    three.gc()
    assert [each.subject for each in three.doctor()] == ["digits:1.1.0"]


def test_aliases_to_what_is_gone(three, sql):
    three.set_alias("digits", "trial", "1.1.0")
    sql("UPDATE model_versions SET withdrawn = :yes WHERE version = '1.1.0'", yes=True)
    assert "alias set digits trial" in found(three)["digits@trial"].remedy


def test_checkpoints_that_are_damaged_or_lost_their_weights(three):
    version = three.get("digits:1.1.0")
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    manager = CheckpointManager(three.storage, "trial")
    for server_round in (1, 2):
        content = CheckpointContent(
            server_round=server_round, model="digits", version="1.1.0", weights=stored
        )
        manager.save(content)
    folder = Path(three.storage.url) / "checkpoints/trial/round_000001"
    (folder / "manifest.json").write_text("{}")
    os.remove(path_of(three, "digits:1.1.0"))
    findings = found(three)
    assert "damaged" in findings["checkpoint trial/1"].problem
    assert "weights are gone" in findings["checkpoint trial/2"].problem


def test_a_broken_audit_log(three, sql, backend):
    if backend == "sqlite":
        for row in sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            sql(f"DROP TRIGGER {row['name']}")
    else:
        sql("ALTER TABLE model_audit_logs DISABLE TRIGGER USER")
    sql("UPDATE model_audit_logs SET actor = 'eve' WHERE id = 2")
    assert "edited" in found(three)["audit log"].problem
