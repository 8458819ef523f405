"""Every change leaves an entry that cannot be changed unnoticed."""

import dataclasses
import hashlib
import io
import json
from datetime import timedelta

import pytest
from registry.samples import facts_of
from sqlalchemy import make_url

from flwr_registry.canonical_json import canonical_json
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
        "form": "",
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


def test_another_program_checks_the_chain_from_the_export(registry, entries, add):
    add(0.1)
    told = {"größe": "€", "\U0001f600": "x", "\ufb33": "y"}
    registry.set_tags("digits:1.3.0", told)
    config = {"n": 2**70, "x": 1e-7, "y": 1.0}
    registry.edit_metadata("digits:1.3.0", model_config=config)
    file = io.StringIO()
    registry.export_audit(file)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert {line.pop("form") for line in lines} == {"rfc8785"}
    previous = FIRST_HASH
    for line in lines:
        del line["id"]
        hashed = line.pop("entry_hash")
        assert line["previous_hash"] == previous
        written = canonical_json({"form": "rfc8785", **line})
        assert hashlib.sha256(written).hexdigest() == hashed
        previous = hashed


def test_entries_of_earlier_releases_are_verified_in_their_form(entries):
    old, previous = [], FIRST_HASH
    for entry in entries:
        bare = dataclasses.replace(entry, form="", previous_hash=previous)
        content = json.dumps(
            bare.content(), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        previous = hashlib.sha256(content.encode()).hexdigest()
        old.append(dataclasses.replace(bare, entry_hash=previous))
    assert verify_chain(old) == []
    newer = dataclasses.replace(entries[0], form="rfc9999")
    assert "upgrade" in verify_chain([newer])[0]
