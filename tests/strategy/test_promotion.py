"""Rounds promote themselves, by gates that the user gave."""

import numpy as np
import pytest
from federation.catalogue import find
from federation.outcome import Play, play

from flwr_registry import (
    BetterThanProduction,
    FewestContributors,
    MetricAtLeast,
    RegistryStrategy,
)
from flwr_registry.strategy.writing.run_promotion import promote

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])


def run(api, database, promote):
    options = {"registry": database, "model": "digits", "on_error": "raise"}
    wrap = lambda strategy: RegistryStrategy(strategy, promote=promote, **options)  # noqa: E731
    return play(find(f"{api}-FedAvg"), Play(wrap=wrap, rounds=3))


def measured(version, name):
    central = version.metrics.get("evaluate_serverapp", {})
    return central.get(name, version.metrics["evaluate_clientapp"].get(name))


@BOTH
def test_nothing_is_promoted_by_default(api, database, registry):
    run(api, database, None)
    assert registry.history("digits") == []


@BOTH
def test_each_round_that_passes_is_promoted_in_its_turn(api, database, registry):
    run(api, database, FewestContributors(1))
    history = registry.history("digits")[::-1]
    assert [each.to_version for each in history] == ["1.0.0", "1.1.0", "1.2.0"]
    assert {each.actor for each in history} == {"RegistryStrategy"}
    assert "round 3 of run" in history[-1].reason


@BOTH
def test_gates_see_the_metrics_of_the_round_they_judge(api, database, registry):
    name = {"message": "eval_loss", "legacy": "loss"}[api]
    run(api, database, BetterThanProduction(name, mode="min"))
    versions = registry.list("digits")[::-1]
    losses = [measured(version, name) for version in versions]
    best, expected = float("inf"), []
    for number, loss in enumerate(losses):
        if loss < best:
            best = loss
            expected.append(f"1.{number}.0")
    promoted = [each.to_version for each in registry.history("digits")[::-1]]
    assert promoted == expected
    assert expected[0] == "1.0.0"


@BOTH
def test_a_refused_round_is_told_and_training_goes_on(api, database, registry, caplog):
    run(api, database, [FewestContributors(1), MetricAtLeast("num_contributors", 1e9)])
    assert registry.history("digits") == []
    assert len(registry.list("digits")) == 3
    assert "but has to be at least 1000000000.0" in caplog.text


@BOTH
def test_training_is_the_same_with_and_without(api, database, registry):
    assert run(api, database, FewestContributors(1)) == run(api, database, None)


def test_what_is_no_gate_is_refused_at_once(database):
    with pytest.raises(TypeError, match="MetricAtLeast"):
        run("message", database, ["accuracy"])


def test_a_round_whose_version_was_rolled_back_from_is_refused_not_an_error(registry):
    for value in (1, 2):
        made = registry.register({"w": np.full(2, value)}, model="digits")
        registry.promote(made.reference)
    registry.rollback("digits")
    (refusal,) = promote(registry, made, [FewestContributors(0)])
    assert "rolled back from" in refusal
