"""Models whose names differ only by large and small letters: the second is refused."""

import pytest
from registry.samples import weights_of

from flwr_registry.errors import InvalidNameError, StorageError
from flwr_registry.records import RunProvenance

REFUSED = "differ from 'digits' only by large and small letters.*use 'digits'"


def test_the_second_is_refused_wherever_a_model_is_made(registry, add, start, tmp_path):
    version = add(1)
    bundle = registry.export("digits", tmp_path / "digits.bundle", to="bundle")
    attempts = [
        lambda: add(2, model="Digits"),
        lambda: start(model="DIGITS"),
        lambda: registry.import_bundle(bundle, model="diGits"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidNameError, match=REFUSED):
            attempt()
    assert registry.list() == [version]
    assert registry.runs() == []
    assert add(3, model="digits-2").reference == "digits-2:1.0.0"


def test_a_name_that_was_never_used_stands_in_nobody_s_way(add, tmp_path):
    blocker = tmp_path / "weights"
    blocker.write_text("no folder can be made here")
    with pytest.raises(StorageError):
        add(1, model="Digits")
    blocker.unlink()
    assert add(1).reference == "digits:1.0.0"


def test_registries_that_have_both_keep_working(registry, add, sql):
    add(1)
    add(2, model="letters")
    # As an upgrade leaves them: the younger has no folded name.
    sql("UPDATE registered_models SET name = 'Digits', folded_name = NULL WHERE id = 2")
    assert add(3, model="Digits").reference == "Digits:1.1.0"
    assert add(4).reference == "digits:1.1.0"
    assert registry.start_run(RunProvenance("trial", "Digits")).provenance.model
    with pytest.raises(InvalidNameError, match="only by large and small"):
        registry.register(weights_of(5), model="DIGITS")


def test_the_database_itself_holds_it(add, sql):
    add(1)
    with pytest.raises(Exception, match=r"(?i)unique"):
        sql(
            "INSERT INTO registered_models (name, folded_name, created_at) "
            "SELECT 'Digits', 'digits', created_at FROM registered_models"
        )
