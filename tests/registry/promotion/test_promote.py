"""Promotion is verified, atomic, idempotent and written down."""

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
        registry.promote("digits:1.1.0", force=True)
    assert registry.production("digits") == kept
    assert actions(sql)[-1] == "promote_refused"


def test_a_failed_version_is_never_promoted(registry, add):
    add(1, errors=["NaN"])
    for force in (False, True):
        with pytest.raises(InvalidStateError, match="failed validation"):
            registry.promote("digits:1.0.0", force=force)


def test_an_archived_version_needs_force_and_the_log_tells(registry, add):
    add(1)
    registry.archive("digits:1.0.0", reason="old")
    with pytest.raises(InvalidStateError, match="archived"):
        registry.promote("digits:1.0.0")
    assert registry.promote("digits:1.0.0", force=True).archived_at is None


def test_withdrawn_and_removed_versions_are_never_promoted(registry, add, sql):
    add(1), add(2)
    sql("UPDATE model_versions SET withdrawn = :yes WHERE id = 1", yes=True)
    sql("UPDATE model_versions SET bytes_removed_at = created_at WHERE id = 2")
    for version, said in (("1.0.0", "withdrawn"), ("1.1.0", "removed by retention")):
        with pytest.raises(InvalidStateError, match=said):
            registry.promote(f"digits:{version}", force=True)


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


def test_all_gates_that_refuse_are_named_and_force_passes(registry, add, sql):
    add(1, metrics={"accuracy": 0.9})
    registry.promote("digits")
    add(2, metrics={"accuracy": 0.8})
    gates = [MetricAtLeast("accuracy", 0.85), BetterThanProduction("accuracy")]
    with pytest.raises(PromotionRefusedError, match="MetricAtLeast") as raised:
        registry.promote("digits:1.1.0", gates=gates)
    assert len(raised.value.refusals) == 2
    assert registry.production("digits").version == "1.0.0"
    assert registry.promote("digits:1.1.0", gates=gates, force=True).is_production
    (entry,) = sql("SELECT details FROM model_audit_logs ORDER BY id DESC LIMIT 1")
    assert "BetterThanProduction" in str(entry["details"])


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
