"""Finding versions."""

import pytest

from flwr_registry.errors import (
    DatabaseError,
    ModelNotFoundError,
    NoProductionModelError,
)
from flwr_registry.records import VersionStatus


def test_every_form_of_a_reference_finds_the_version(registry, add, sql):
    first, second = add(1), add(2)
    sql(
        "UPDATE model_versions SET is_production = true, status = 'active' WHERE id = 1"
    )
    sql(
        "INSERT INTO model_aliases (model_id, alias, version_id, updated_at) "
        "VALUES (1, 'best', 2, '2026-01-01')"
    )
    expected = {
        first.id: ["digits:1.0.0", "models:/digits/1.0.0", "digits@production"],
        second.id: ["digits", "digits/latest", "models:/digits@latest", "digits@best"],
    }
    for version_id, references in expected.items():
        for reference in references:
            assert registry.get(reference).id == version_id
    assert registry.get("digits@production").is_production


def test_versions_are_listed_newest_first_and_filtered(registry, start, add):
    one, two = add(1), add(2, errors=["NaN"])
    three = add(3, run=start("third"))
    other = add(4, model="letters")
    assert registry.list() == [other, three, two, one]
    assert registry.list("digits") == [three, two, one]
    assert registry.list(status=VersionStatus.FAILED) == [two]
    assert registry.list("digits", status="candidate") == [three, one]
    assert registry.list(run="third") == [three]
    assert registry.list(limit=2) == [other, three]
    assert registry.list("nothing") == registry.list(run="nothing") == []
    assert registry.models() == ["digits", "letters"]
    with pytest.raises(ValueError, match="great"):
        registry.list(status="great")


def test_what_is_missing_is_told_with_what_comes_near(registry, add):
    with pytest.raises(ModelNotFoundError, match="empty"):
        registry.latest("digits")
    add(1, version="1.4.0")
    missing = {
        "digts": "did you mean digits",
        "digits:1.4.1": r"no version 1\.4\.1 of digits; did you mean 1\.4\.0",
        "digits@lates": "did you mean latest",
    }
    for reference, message in missing.items():
        with pytest.raises(ModelNotFoundError, match=message) as raised:
            registry.get(reference)
        assert raised.value.reference
    with pytest.raises(NoProductionModelError):
        registry.get("digits@production")
    add(2, model="letters", errors=["NaN"])
    with pytest.raises(ModelNotFoundError, match="passed validation"):
        registry.latest("letters")


def test_two_productions_are_told_not_hidden(registry, add, sql):
    add(1)
    add(2)
    sql("DROP INDEX uq_model_versions_production")
    sql("UPDATE model_versions SET is_production = true, status = 'active'")
    with pytest.raises(DatabaseError, match="2 production versions"):
        registry.get("digits@production")
