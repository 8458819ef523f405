"""Aliases, tags, pins, archive and metadata: harmless edits, each written down."""

import pytest

from flwr_registry.errors import (
    InvalidNameError,
    InvalidStateError,
    ModelNotFoundError,
)
from flwr_registry.records import VersionStatus


def test_an_alias_names_a_version_until_it_names_another(registry, add):
    add(1), add(2)
    registry.set_alias("digits", "best", "1.0.0", actor="ann")
    assert registry.get("digits@best").version == "1.0.0"
    registry.set_alias("digits", "best", "digits:1.1.0")
    assert registry.aliases("digits") == {"best": "1.1.0"}
    registry.delete_alias("digits", "best")
    assert registry.aliases("digits") == {}
    with pytest.raises(ModelNotFoundError, match="best"):
        registry.delete_alias("digits", "best")


@pytest.mark.parametrize("alias", ["production", "latest", "1.2.3", "a b", "../x", ""])
def test_some_aliases_cannot_be(registry, add, alias):
    add(1)
    with pytest.raises(InvalidNameError):
        registry.set_alias("digits", alias, "1.0.0")


def test_what_must_not_be_used_takes_no_alias(registry, add, sql):
    add(1, errors=["NaN"])
    add(2)
    sql("UPDATE model_versions SET withdrawn = :yes WHERE id = 2", yes=True)
    for version in ("1.0.0", "1.1.0"):
        with pytest.raises(InvalidStateError):
            registry.set_alias("digits", "best", version)
    add(3, model="other")
    with pytest.raises(ModelNotFoundError, match="no version of digits"):
        registry.set_alias("digits", "best", "other:1.0.0")


def test_tags_are_set_and_removed(registry, add):
    add(1)
    registry.set_tags("digits", {"site": "north", "phase": "2"})
    version = registry.set_tags("digits", {"site": None, "kind": "x"})
    assert registry.get("digits") == version
    assert version.metadata.tags == {"phase": "2", "kind": "x"}


def test_metadata_can_be_edited_and_nothing_else(registry, add):
    made = add(1)
    edited = registry.edit_metadata(
        "digits", description="after review", model_config={"layers": [4]}
    )
    assert edited.metadata.description == "after review"
    assert edited.metadata.model_config == {"layers": [4]}
    for governed in ("is_production", "status", "checksum", "id", "parent_id", "tag"):
        with pytest.raises(TypeError, match="only architecture, framework"):
            registry.edit_metadata("digits", **{governed: 1})
    with pytest.raises(TypeError):
        registry.edit_metadata("digits", description=3)
    assert registry.get("digits").checksum == made.checksum


def test_pins_and_archive(registry, add):
    add(1)
    assert registry.pin("digits").pinned
    assert not registry.unpin("digits").pinned
    assert registry.archive("digits:1.0.0").status is VersionStatus.ARCHIVED
    registry.promote("digits:1.0.0", allow_archived=True)
    with pytest.raises(InvalidStateError, match="in production"):
        registry.archive("digits:1.0.0")
    add(2, errors=["NaN"])
    with pytest.raises(InvalidStateError, match="failed"):
        registry.archive("digits:1.1.0")


def test_every_change_is_written_down_once(registry, add, sql):
    add(1)
    for _ in range(2):
        registry.set_alias("digits", "best", "1.0.0", actor="ann")
        registry.set_tags("digits", {"a": "b"}, actor="ann")
        registry.pin("digits", actor="ann")
    entries = sql("SELECT action, actor FROM model_audit_logs ORDER BY id")[1:]
    assert [entry["action"] for entry in entries] == [
        "set_alias",
        "edit_metadata",
        "pin",
    ]
    assert {entry["actor"] for entry in entries} == {"ann"}
