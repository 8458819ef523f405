"""Promotion is verified, atomic, idempotent and written down."""

import json

import pytest

from flwr_registry import BetterThanProduction, MetricAtLeast
from flwr_registry.errors import (
    IntegrityError,
    InvalidStateError,
    ModelNotFoundError,
    NoProductionModelError,
    ObjectNotFoundError,
    PromotionConflictError,
    PromotionRefusedError,
)
from flwr_registry.records import VersionStatus
from flwr_registry.registry.audit_log import read_entries, verify_chain
from flwr_registry.registry.steps import read


def actions(sql):
    return [row["action"] for row in sql("SELECT action FROM model_audit_logs")]


def damage(registry, version):
    path = f"{registry.storage.url}/{version.storage_path}"
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def test_one_version_is_in_production_and_the_former_one_archived(registry, add):
    add(1), add(2)
    first = registry.promote("digits:1.0.0", reason="the first", actor="ann")
    assert first.is_production and first.status is VersionStatus.ACTIVE
    second = registry.promote("digits:1.1.0")
    assert registry.production("digits") == second
    assert registry.get("digits@production") == second
    former = registry.get("digits:1.0.0")
    assert (former.status, former.is_production) == (VersionStatus.ARCHIVED, False)
    assert former.archived_at is not None and former.promoted_at == first.promoted_at
    newest, oldest = registry.history("digits")
    assert (oldest.from_version, oldest.to_version) == (None, "1.0.0")
    assert (oldest.actor, oldest.reason) == ("ann", "the first")
    assert (newest.from_version, newest.to_version) == ("1.0.0", "1.1.0")


def test_promoting_what_is_in_production_changes_nothing(registry, add, sql):
    add(1)
    first = registry.promote("digits")
    before = actions(sql)
    assert registry.promote("digits") == first
    assert actions(sql) == before
    assert len(registry.history("digits")) == 1


def test_without_a_production_version_there_is_a_clear_error(registry, add):
    add(1)
    with pytest.raises(NoProductionModelError):
        registry.production("digits")
    with pytest.raises(ModelNotFoundError, match="did you mean digits"):
        registry.history("digit")


@pytest.mark.parametrize("kind", ["flipped", "gone"])
def test_damaged_bytes_never_go_into_production(registry, add, sql, kind):
    add(1)
    kept = registry.promote("digits")
    broken = add(2)
    if kind == "flipped":
        damage(registry, broken)
    else:
        registry.storage.delete(broken.storage_path)
    with pytest.raises((IntegrityError, ObjectNotFoundError), match=r"1\.1\.0"):
        registry.promote("digits:1.1.0", skip_gates=True)
    assert registry.production("digits") == kept
    assert actions(sql)[-1] == "promote_refused"


def test_a_failed_version_is_never_promoted(registry, add):
    add(1, errors=["NaN"])
    for over in ({}, {"skip_gates": True}, {"allow_archived": True}):
        with pytest.raises(InvalidStateError, match="failed validation"):
            registry.promote("digits:1.0.0", **over)


def last_details(sql):
    (entry,) = sql("SELECT details FROM model_audit_logs ORDER BY id DESC LIMIT 1")
    details = entry["details"]
    return json.loads(details) if isinstance(details, str) else details


def test_an_archived_version_is_promoted_only_if_that_is_allowed(registry, add, sql):
    add(1)
    registry.archive("digits:1.0.0", reason="old")
    for over in ({}, {"skip_gates": True}):
        with pytest.raises(InvalidStateError, match=r"put aside.*--allow-archived"):
            registry.promote("digits:1.0.0", **over)
    promoted = registry.promote("digits:1.0.0", allow_archived=True)
    assert promoted.archived_at is None
    details = last_details(sql)
    assert details["was_archived"] and "skipped_gates" not in details


def test_what_was_rolled_back_from_comes_back_only_if_allowed_and_fit(
    registry, add, sql
):
    add(1, metrics={"accuracy": 0.8}), add(2, metrics={"accuracy": 0.9})
    registry.promote("digits:1.0.0"), registry.promote("digits:1.1.0")
    registry.rollback("digits")
    passing, failing = MetricAtLeast("accuracy", 0.85), MetricAtLeast("accuracy", 0.95)
    with pytest.raises(InvalidStateError, match="rolled back from"):
        registry.promote("digits:1.1.0", gates=[passing], skip_gates=True)
    with pytest.raises(PromotionRefusedError):
        registry.promote("digits:1.1.0", gates=[failing], allow_archived=True)
    both = {"skip_gates": True, "allow_archived": True}
    assert registry.promote("digits:1.1.0", gates=[failing], **both).is_production
    details = last_details(sql)
    assert details["was_archived"]
    assert "0.95" in str(details["skipped_gates"])
    registry.rollback("digits")
    registry.promote("digits:1.1.0", gates=[passing], allow_archived=True)
    assert "skipped_gates" not in last_details(sql)


def test_withdrawn_and_removed_versions_are_never_promoted(registry, add, sql):
    add(1), add(2)
    sql("UPDATE model_versions SET withdrawn = :yes WHERE id = 1", yes=True)
    sql("UPDATE model_versions SET bytes_removed_at = created_at WHERE id = 2")
    for version, said in (("1.0.0", "withdrawn"), ("1.1.0", "removed by retention")):
        with pytest.raises(InvalidStateError, match=said):
            registry.promote(f"digits:{version}", allow_archived=True)


def test_expectation_is_compared_and_set(registry, add):
    add(1), add(2), add(3)
    with pytest.raises(PromotionConflictError, match="version none is in production"):
        registry.promote("digits:1.1.0", expect="1.0.0")
    registry.promote("digits:1.0.0", expect="none")
    with pytest.raises(PromotionConflictError, match=r"1\.0\.0 is in production"):
        registry.promote("digits:1.1.0", expect="none")
    assert registry.promote("digits:1.1.0", expect="1.0.0").is_production
    with pytest.raises(ModelNotFoundError):
        registry.promote("digits:1.2.0", expect="7.0.0")


def test_all_gates_that_refuse_are_named_and_can_be_skipped(registry, add, sql):
    add(1, metrics={"accuracy": 0.9})
    registry.promote("digits")
    add(2, metrics={"accuracy": 0.8})
    gates = [MetricAtLeast("accuracy", 0.85), BetterThanProduction("accuracy")]
    with pytest.raises(
        PromotionRefusedError, match=r"has to be at least 0\.85; "
    ) as raised:
        registry.promote("digits:1.1.0", gates=gates)
    assert len(raised.value.refusals) == 2
    assert registry.production("digits").version == "1.0.0"
    assert registry.promote("digits:1.1.0", gates=gates, skip_gates=True).is_production
    details = last_details(sql)
    assert "in production 0.9: it has to be higher" in str(details["skipped_gates"])
    assert "was_archived" not in details


def test_models_do_not_touch_each_other(registry, add):
    add(1), add(2, model="other")
    registry.promote("digits"), registry.promote("other")
    assert registry.production("digits").model == "digits"
    assert registry.production("other").model == "other"


def test_the_log_of_all_that_is_a_sound_chain(registry, add, sql):
    add(1), add(2)
    registry.promote("digits:1.0.0")
    registry.promote("digits:1.1.0")
    registry.rollback("digits")
    assert verify_chain(registry._run(read(read_entries))) == []
    assert actions(sql)[-3:] == ["promote", "promote", "rollback"]
