"""Every change leaves an entry that cannot be changed unnoticed."""

import dataclasses
from datetime import timedelta

import pytest
from registry.samples import facts_of
from sqlalchemy import make_url

from flwr_registry.errors import InvalidReferenceError
from flwr_registry.registry.audit_log import FIRST_HASH, read_entries, verify_chain
from flwr_registry.registry.database.database import Database


@pytest.fixture
def entries(registry, database_url, start, add):
    run = start()
    for server_round in (1, 2, 3):
        add(server_round, run=run, facts=facts_of(server_round))
    with pytest.raises(InvalidReferenceError):
        add(9, parent="a b")
    database = Database(make_url(database_url))
    found = database.read(read_entries)
    database.close()
    return found


def test_runs_and_registrations_leave_entries(entries, registry):
    assert [(entry.action, entry.version) for entry in entries] == [
        ("start_run", None),
        ("register", "1.0.0"),
        ("register", "1.1.0"),
        ("register", "1.2.0"),
    ]
    last = entries[-1]
    assert (last.model, last.actor) == ("digits", "flwr-registry")
    assert last.details["checksum"] == registry.get("digits:1.2.0").checksum
    assert last.details["parent"] == "1.1.0"
    assert last.timestamp.tzinfo is not None
    assert entries[0].previous_hash == FIRST_HASH
    assert verify_chain(entries) == []
    assert verify_chain([]) == []


def test_every_edited_field_is_found(entries):
    edits = {
        "timestamp": entries[1].timestamp + timedelta(microseconds=1),
        "action": "promote",
        "actor": "somebody",
        "model": "letters",
        "version": "1.0.1",
        "reason": "because",
        "details": {},
        "previous_hash": "0" * 64,
        "entry_hash": "f" * 64,
    }
    assert edits.keys() == {f.name for f in dataclasses.fields(entries[1])} - {"id"}
    for name, value in edits.items():
        edited = dataclasses.replace(entries[1], **{name: value})
        assert verify_chain([entries[0], edited, *entries[2:]]), name


def test_removed_reordered_and_added_entries_are_found(entries):
    first, second, third, fourth = entries
    assert verify_chain([second, third, fourth])
    assert verify_chain([first, third, fourth])
    assert verify_chain([first, third, second, fourth])
    assert verify_chain([first, second, second, third, fourth])
