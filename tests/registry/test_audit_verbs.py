"""Reading and checking the audit log through the registry."""

import io
import json

import pytest

from flwr_registry.registry import audit_reading


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(audit_reading, "_BATCH", 2)


def guard_off(sql, backend):
    """Take the guard away, as someone with all rights can."""
    if backend == "sqlite":
        for row in sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            sql(f"DROP TRIGGER {row['name']}")
    else:
        sql("ALTER TABLE model_audit_logs DISABLE TRIGGER USER")


@pytest.fixture
def changed(registry, add):
    for value in range(5):
        add(value)
    registry.promote("digits:1.2.0", actor="ann", reason="good enough")
    return registry


def test_entries_are_listed_newest_first(changed):
    newest = changed.audit(limit=1)[0]
    assert (newest.action, newest.actor, newest.version) == ("promote", "ann", "1.2.0")
    assert len(changed.audit()) == 6
    assert {each.action for each in changed.audit(action="register")} == {"register"}
    assert changed.audit("cats") == []


def test_a_sound_log_and_one_that_was_cut(changed, sql, backend):
    check = changed.verify_audit()
    assert (check.entries, check.problems) == (6, ())
    assert check.newest_hash == changed.audit(limit=1)[0].entry_hash
    guard_off(sql, backend)
    sql("DELETE FROM model_audit_logs WHERE action = 'promote'")
    assert changed.verify_audit().problems == ()
    (problem,) = changed.verify_audit(expect_hash=check.newest_hash).problems
    assert "cut off" in problem


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE model_audit_logs SET actor = 'eve' WHERE id = 3",
        "UPDATE model_audit_logs SET details = '{}' WHERE id = 3",
        "DELETE FROM model_audit_logs WHERE id = 3",
    ],
)
def test_edited_and_removed_entries_are_found(changed, sql, backend, damage):
    guard_off(sql, backend)
    sql(damage)
    assert changed.verify_audit().problems


def test_the_export_is_all_that_hashes_are_computed_over(changed):
    file = io.StringIO()
    assert changed.export_audit(file) == 6
    entries = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [each["id"] for each in entries] == sorted(each["id"] for each in entries)
    hashes = [each["entry_hash"] for each in entries]
    assert [each["previous_hash"] for each in entries[1:]] == hashes[:-1]
    assert entries[-1]["reason"] == "good enough"
