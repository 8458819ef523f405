"""The alias of the best version: the best that is left, by the present metric."""

import pytest

from flwr_registry.errors import ModelNotFoundError
from flwr_registry.registry.audit_log import read_entries
from flwr_registry.registry.steps import read


def measured(add, value, *, accuracy, **more):
    return add(value, metrics={"accuracy": accuracy, "loss": 1 - accuracy, **more})


@pytest.fixture
def three(add):
    for place, accuracy in enumerate((0.9, 0.8, 0.7), 1):
        measured(add, place, accuracy=accuracy)


def best(registry):
    return registry.get("digits@best").version


def test_the_best_is_by_the_metric_and_its_direction(registry, three):
    assert registry.name_best("digits", "accuracy").version == "1.0.0" == best(registry)
    assert registry.name_best("digits", "loss").version == "1.0.0"
    assert registry.name_best("digits", "loss", mode="max").version == "1.2.0"
    assert best(registry) == "1.2.0"


def test_of_equal_ones_the_older_stays_and_nothing_is_written(registry, add):
    measured(add, 1, accuracy=0.9), registry.name_best("digits", "accuracy")
    measured(add, 2, accuracy=0.9), registry.name_best("digits", "accuracy")
    entries = registry._run(read(read_entries))
    changes = [each for each in entries if each.action == "set_alias"]
    assert best(registry) == "1.0.0" and len(changes) == 1
    assert changes[0].details["metric"] == "accuracy"


def test_another_metric_takes_the_alias_along(registry, three, add):
    registry.name_best("digits", "accuracy")
    measured(add, 4, accuracy=0.1, f1=0.5), measured(add, 5, accuracy=0.2, f1=0.4)
    assert registry.name_best("digits", "f1").version == "1.3.0" == best(registry)


@pytest.mark.parametrize(
    "change",
    [
        "withdrawn = :yes",
        "superseded = :yes",
        "status = 'failed'",
        "bytes_removed_at = created_at",
        "validation_errors = '[\"its loss is negative\"]'",
    ],
)
def test_what_may_not_be_used_is_no_longer_the_best(registry, three, sql, change):
    registry.name_best("digits", "accuracy")
    values = {"yes": True} if ":yes" in change else {}
    update = f"UPDATE model_versions SET {change}"
    sql(f"{update} WHERE version = '1.0.0'", **values)
    assert registry.name_best("digits", "accuracy").version == "1.1.0" == best(registry)
    sql(update, **values)
    assert registry.name_best("digits", "accuracy") is None
    with pytest.raises(ModelNotFoundError):
        registry.get("digits@best")


def test_a_metric_that_nothing_has_leaves_what_may_be_used(registry, three):
    registry.name_best("digits", "accuracy")
    assert registry.name_best("digits", "f1") is None
    assert best(registry) == "1.0.0"


def test_a_direction_that_nothing_tells_and_an_unknown_model_are_errors(registry):
    with pytest.raises(ValueError, match="set mode to"):
        registry.name_best("digits", "speed")
    with pytest.raises(ModelNotFoundError):
        registry.name_best("digit", "accuracy")
