"""A node that is withdrawn leaves nothing in use that it had a part in."""

import pytest
from registry.samples import facts_of

from flwr_registry.errors import (
    InvalidStateError,
    NodeNotFoundError,
    NoProductionModelError,
)


@pytest.fixture
def line(registry, add, start):
    """Rounds by ann, bob, ann and bob; bob's first version is in production."""
    run = start()
    for server_round, node in enumerate(("ann", "bob", "ann", "bob"), start=1):
        add(server_round, run=run, facts=facts_of(server_round, node))
    registry.promote("digits:1.0.0")
    registry.promote("digits:1.1.0")
    return run


def test_what_is_marked_and_what_is_named(registry, line):
    done = registry.withdraw("bob", reason="left the study", actor="ann")
    assert done.affected == ("digits:1.1.0", "digits:1.2.0", "digits:1.3.0")
    assert (done.newly_marked, done.repeated) == (3, False)
    assert done.demoted == ("digits:1.1.0",)
    (point,) = done.retraining
    assert (point.head, point.start) == ("digits:1.3.0", "digits:1.0.0")
    assert [each.withdrawn for each in registry.list("digits")] == [True] * 3 + [False]
    (listed,) = registry.withdrawals()
    assert (listed.node_id, listed.reason) == ("bob", "left the study")
    assert listed.actor == "ann"


def test_a_dry_run_tells_the_same_and_changes_nothing(registry, line):
    planned = registry.withdraw("bob", reason="left", actor="ann", dry_run=True)
    assert registry.withdrawals() == []
    assert registry.production("digits").version == "1.1.0"
    done = registry.withdraw("bob", reason="left", actor="ann")
    assert (planned.affected, planned.newly_marked) == (done.affected, 3)
    assert (planned.demoted, planned.retraining) == (done.demoted, done.retraining)
    with pytest.raises(NodeNotFoundError):
        registry.withdraw("eve", dry_run=True)


def test_nothing_affected_is_or_comes_into_production(registry, line):
    registry.withdraw("bob")
    with pytest.raises(NoProductionModelError):
        registry.production("digits")
    for number in ("1.1.0", "1.2.0", "1.3.0"):
        with pytest.raises(InvalidStateError, match="withdrawn"):
            registry.promote(f"digits:{number}", allow_archived=True)
    assert registry.history("digits")[0].action == "withdraw"
    assert registry.rollback("digits").version == "1.0.0"
    registry.load("digits:1.3.0")


def test_what_is_registered_later_is_withdrawn_from_the_start(registry, add, line):
    registry.withdraw("bob")
    later = add(5, run=line, facts=facts_of(5, "ann"), parent="1.3.0")
    by_bob = add(6, run=line, facts=facts_of(6, "bob"), parent="1.0.0")
    sound = add(7, run=line, facts=facts_of(7, "ann"), parent="1.0.0")
    assert (later.withdrawn, by_bob.withdrawn, sound.withdrawn) == (True, True, False)


def test_withdrawn_again_only_what_is_new_is_marked(registry, line):
    registry.withdraw("bob", reason="first")
    again = registry.withdraw("bob", reason="second")
    assert (again.repeated, again.newly_marked) == (True, 0)
    assert again.node.reason == "first"
    assert len(registry.audit(action="withdraw_node")) == 1


def test_a_first_round_leaves_nothing_to_go_on_from(registry, line):
    (point,) = registry.withdraw("ann").retraining
    assert point.start is None


def test_an_unknown_node_withdraws_nothing(registry, line):
    with pytest.raises(NodeNotFoundError):
        registry.withdraw("nobody")
    assert registry.withdrawals() == []
    assert registry.verify_audit().problems == ()
