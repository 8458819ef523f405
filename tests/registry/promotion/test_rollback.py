"""Rollback walks back, never to and fro."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from flwr_registry.errors import (
    IntegrityError,
    InvalidStateError,
    ModelNotFoundError,
    RollbackError,
)


@pytest.fixture
def promoted(registry, add):
    """Four versions, each promoted after the other."""
    for value in range(4):
        registry.promote(add(value).reference)


def production(registry):
    return registry.production("digits").version


def test_repeated_rollbacks_walk_further_back(registry, promoted):
    assert registry.rollback("digits").version == "1.2.0"
    assert registry.rollback("digits").version == "1.1.0"
    assert registry.rollback("digits").version == "1.0.0"
    with pytest.raises(RollbackError):
        registry.rollback("digits")
    assert production(registry) == "1.0.0"
    assert registry.production("digits").archived_at is None


def test_a_promotion_after_a_rollback_goes_on_from_there(registry, promoted, add):
    registry.rollback("digits")
    registry.promote(add(9).reference)
    assert registry.rollback("digits").version == "1.2.0"
    assert registry.rollback("digits").version == "1.1.0"


def test_rollback_to_a_version_on_the_way_skips_what_lies_between(registry, promoted):
    assert registry.rollback("digits", to="1.1.0").version == "1.1.0"
    assert registry.rollback("digits").version == "1.0.0"


def test_rollback_forward_to_what_was_rolled_back_is_a_step_of_its_own(
    registry, promoted
):
    registry.rollback("digits")
    assert registry.rollback("digits", to="digits:1.3.0").version == "1.3.0"
    assert registry.rollback("digits").version == "1.2.0"


def test_rollback_to_the_production_version_changes_nothing(registry, promoted):
    before = registry.history("digits")
    assert registry.rollback("digits", to="1.3.0").version == "1.3.0"
    assert registry.history("digits") == before


def test_a_version_that_was_never_in_production_is_no_target(registry, promoted, add):
    add(7)
    with pytest.raises(RollbackError, match="promote it"):
        registry.rollback("digits", to="1.4.0")


def test_versions_that_cannot_be_used_are_passed_over(registry, promoted, sql):
    sql("UPDATE model_versions SET withdrawn = :yes WHERE version = '1.2.0'", yes=True)
    with pytest.raises(InvalidStateError, match="withdrawn"):
        registry.rollback("digits", to="1.2.0")
    assert registry.rollback("digits").version == "1.1.0"
    assert registry.rollback("digits").version == "1.0.0"


def test_the_bytes_are_verified_before_the_pointer_moves(registry, promoted, sql):
    target = registry.get("digits:1.2.0")
    path = f"{registry.storage.url}/{target.storage_path}"
    with open(path, "ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError):
        registry.rollback("digits")
    assert production(registry) == "1.3.0"
    (last,) = sql("SELECT action FROM model_audit_logs ORDER BY id DESC LIMIT 1")
    assert last["action"] == "rollback_refused"


def test_there_is_nothing_to_go_back_to_before_the_second_promotion(registry, add):
    with pytest.raises(ModelNotFoundError):
        registry.rollback("digits")
    add(1)
    with pytest.raises(RollbackError):
        registry.rollback("digits")
    registry.promote("digits")
    with pytest.raises(RollbackError):
        registry.rollback("digits")


def test_history_is_whole_and_tells_who_was_there_when(registry, promoted):
    start = datetime.now(UTC)
    registry.rollback("digits", reason="worse", actor="ann")
    changes = registry.history("digits")
    assert [each.sequence for each in changes] == [5, 4, 3, 2, 1]
    for later, earlier in pairwise(changes):
        assert later.from_version == earlier.to_version
    assert (changes[0].action, changes[0].actor) == ("rollback", "ann")
    assert [each.reverted for each in changes] == [True, True, False, False, False]
    assert registry.production_at("digits", start).version == "1.3.0"
    assert registry.production_at("digits", datetime.now(UTC)).version == "1.2.0"
    assert registry.production_at("digits", start - timedelta(days=1)) is None
    with pytest.raises(ValueError, match="time zone"):
        registry.production_at("digits", datetime(2026, 1, 1))
