"""The table that metrics are searched by stays in step with the versions."""

import math

import pytest
from registry.samples import facts_of

from flwr_registry.records import MetricSource

CENTRAL, FEDERATED = MetricSource.EVALUATE_SERVERAPP, MetricSource.EVALUATE_CLIENTAPP
TRAIN = MetricSource.TRAIN_CLIENTAPP


@pytest.fixture
def searchable(sql):
    """Rows of one version: source, name, value and whether no better one exists."""

    def found(version):
        rows = sql(
            "SELECT source, name, value, best_source, model_id FROM version_metrics "
            "WHERE version_id = :id ORDER BY name, source",
            id=version.id,
        )
        assert {row["model_id"] for row in rows} <= {1}
        return [
            (row["source"], row["name"], row["value"], bool(row["best_source"]))
            for row in rows
        ]

    return found


def test_a_registration_makes_its_finite_metrics_searchable(add, searchable):
    version = add(1, metrics={"accuracy": 0.5, "loss": math.nan, "note": "x", "up": 3})
    assert searchable(version) == [
        (CENTRAL, "accuracy", 0.5, True),
        (CENTRAL, "up", 3.0, True),
    ]


def test_recorded_metrics_replace_and_join(add, searchable, registry, start):
    run = start()
    version = add(1, run=run, facts=facts_of(1, "a", loss=2.0))
    assert searchable(version) == [(TRAIN, "loss", 2.0, True)]
    registry.record_metrics(run, 1, FEDERATED, {"loss": 1.5}, measured=version)
    assert searchable(version) == [
        (FEDERATED, "loss", 1.5, True),
        (TRAIN, "loss", 2.0, False),
    ]
    registry.record_metrics(run, 1, CENTRAL, {"loss": 1.0}, measured=version)
    registry.record_metrics(run, 1, CENTRAL, {"loss": 0.5}, measured=version)
    assert searchable(version) == [
        (FEDERATED, "loss", 1.5, False),
        (CENTRAL, "loss", 0.5, True),
        (TRAIN, "loss", 2.0, False),
    ]


def test_what_is_not_finite_hides_what_is_less_trusted(add, searchable):
    metrics = {CENTRAL: {"loss": math.inf}, TRAIN: {"loss": 1.0}}
    assert searchable(add(1, metrics=metrics)) == [(TRAIN, "loss", 1.0, False)]


def test_a_name_that_no_index_holds_is_not_searchable(add, searchable):
    version = add(1, metrics={"n" * 200: 1, "n" * 201: 2, "a": True})
    assert searchable(version) == [(CENTRAL, "n" * 200, 1.0, True)]
    assert version.metrics[CENTRAL]["n" * 201] == 2


def test_metrics_of_an_earlier_version_are_not_changed(
    add, searchable, registry, start
):
    run = start()
    first = add(1, run=run, facts=facts_of(1), metrics={"loss": 1.0})
    registry.record_metrics(run, 2, CENTRAL, {"loss": 9.0}, measured=first)
    assert searchable(first) == [(CENTRAL, "loss", 1.0, True)]
