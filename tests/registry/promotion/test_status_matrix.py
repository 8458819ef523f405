"""What each state of a version allows: every pair of state and operation."""

import pytest

from flwr_registry.errors import InvalidStateError, RollbackError

# What a state allows is decided above the database.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

DONE = None
NEVER = InvalidStateError
OPERATIONS = {
    "promote": lambda registry, version: registry.promote(version),
    "promote archived": lambda registry, version: registry.promote(
        version, allow_archived=True
    ),
    "roll back": lambda registry, version: registry.rollback("digits", to=version),
    "archive": lambda registry, version: registry.archive(version),
    "alias": lambda registry, version: registry.set_alias("digits", "mine", version),
    "pin": lambda registry, version: registry.pin(version),
}
EXPECTED = {
    "candidate": [DONE, DONE, RollbackError, DONE, DONE, DONE],
    "production": [DONE, DONE, DONE, NEVER, DONE, DONE],
    "demoted": [NEVER, DONE, DONE, DONE, DONE, DONE],
    "archived": [NEVER, DONE, RollbackError, DONE, DONE, DONE],
    "failed": [NEVER, NEVER, NEVER, NEVER, NEVER, DONE],
}


def made_in(registry, add, state):
    """A version of a state, beside another one that was in production."""
    registry.promote(add(1).reference)
    version = add(2, errors=["broken"] if state == "failed" else []).reference
    if state in {"production", "demoted"}:
        registry.promote(version)
    if state == "demoted":
        registry.promote(add(3).reference)
    if state == "archived":
        registry.archive(version)
    return version


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("state", EXPECTED)
def test_what_a_state_allows(registry, add, state, operation):
    version = made_in(registry, add, state)
    error = EXPECTED[state][list(OPERATIONS).index(operation)]
    before = registry.list("digits")
    if error is None:
        OPERATIONS[operation](registry, version)
    else:
        with pytest.raises(error):
            OPERATIONS[operation](registry, version)
        assert registry.list("digits") == before
    assert sum(each.is_production for each in registry.list("digits")) == 1
