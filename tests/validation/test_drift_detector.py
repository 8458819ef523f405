"""Metrics over rounds: what gets worse is found, what is noise is not."""

import numpy as np
import pytest

from flwr_registry import DriftDetector
from flwr_registry.records import DriftKind, DriftSeverity


def curve(rounds=30, noise=0.003, seed=0, **drops):
    """Accuracy that rises to 0.95, then by what is told falls."""
    random = np.random.default_rng(seed)
    values = (
        0.95 - 0.6 * np.exp(-np.arange(rounds) / 4) + random.normal(0, noise, rounds)
    )
    for name, drop in drops.items():
        values[int(name.removeprefix("from_")) - 1 :] -= drop
    return {place + 1: {"accuracy": float(value)} for place, value in enumerate(values)}


def test_a_drop_is_found_where_it_is():
    (finding,) = DriftDetector().findings(curve(from_20=0.15))
    assert (finding.kind, finding.subject) == (DriftKind.PERFORMANCE, "accuracy")
    assert finding.since == "round 20"
    assert int(finding.found.split()[1]) <= 22
    assert finding.statistic > finding.threshold
    assert "accuracy is getting worse since round 20" in finding.message


def test_a_rising_loss_is_as_bad_as_a_falling_accuracy():
    rising = {
        number: {"val_loss": -each["accuracy"] + 2}
        for number, each in curve(from_20=0.3).items()
    }
    (finding,) = DriftDetector().findings(rising)
    assert (finding.subject, finding.since) == ("val_loss", "round 20")


def test_a_slow_decline_sums_up():
    falling = {
        n: {"accuracy": 0.9 - (0.01 * (n - 10) if n > 10 else 0)} for n in range(1, 30)
    }
    (finding,) = DriftDetector().findings(falling)
    assert 10 <= int(finding.since.split()[1]) <= 14


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_drift(seed):
    assert DriftDetector().findings(curve(60, noise=0.01, seed=seed)) == []


def test_one_bad_round_that_passes_may_be_told_but_missing_rounds_are_none():
    holes = {number: each for number, each in curve(40).items() if number % 3}
    holes[41], holes[44] = {}, {"unrelated": 1.0}
    assert DriftDetector().findings(holes) == []


def test_a_baseline_takes_the_place_of_the_best_so_far():
    rounds = curve(20)
    assert DriftDetector(baseline={"accuracy": 0.5}).findings(rounds) == []
    (finding,) = DriftDetector(baseline={"accuracy": 9.0}).findings(rounds)
    assert finding.severity is DriftSeverity.CRITICAL


def test_only_what_has_a_known_direction_is_watched():
    rounds = {number: {"speed": -float(number)} for number in range(1, 20)}
    assert DriftDetector().findings(rounds) == []
    (finding,) = DriftDetector(metrics={"speed": "max"}).findings(rounds)
    assert finding.subject == "speed"


def test_what_is_spent_in_each_round_is_no_drift():
    spent = {number: {"epsilon": float(number)} for number in range(1, 20)}
    assert DriftDetector().findings(spent) == []
    assert DriftDetector(metrics={"epsilon": None}).findings(spent)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"metrics": {"a": "up"}}, "is 'max' or 'min'"),
        ({"metrics": {"speed": None}}, "does not tell"),
        ({"threshold": 0}, "threshold above 0"),
        ({"min_points": 2}, "min_points 3 or more"),
    ],
)
def test_options_out_of_their_choices_are_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        DriftDetector(**options)
