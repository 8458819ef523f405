"""Changes for the worse are found where they are, and nowhere else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.validation.sequential_tests import adwin, page_hinkley


def with_limits(values, slack=0.5, threshold=3.0):
    return [(value, slack, threshold) for value in values]


def test_page_hinkley_finds_the_first_value_of_a_lasting_rise():
    change = page_hinkley(with_limits([0, 0.4, -1, 0, 2, 2, 2]))
    assert (change.since, change.found) == (4, 6)
    assert change.statistic == 4.5 > change.threshold == 3.0


def test_page_hinkley_forgets_what_passes():
    assert page_hinkley(with_limits([2, -5, 2, -5, 2, -5])) is None


@given(st.lists(st.floats(-10, 0.5), max_size=50))
def test_page_hinkley_never_alarms_within_the_slack(values):
    assert page_hinkley(with_limits(values)) is None


def test_adwin_finds_a_rise_in_noise_and_no_fall():
    random = np.random.default_rng(1)
    before, after = random.normal(0, 1, 300), random.normal(2, 1, 200)
    change = adwin([*before, *after])
    assert 290 <= change.since <= 320
    assert change.found < 375
    assert change.statistic > change.threshold
    assert adwin([*after, *before]) is None


def test_adwin_rarely_alarms_on_noise():
    random = np.random.default_rng(2)
    alarms = [adwin(list(random.normal(size=200))) for _ in range(20)]
    assert alarms.count(None) >= 19


def test_nothing_is_no_change():
    assert adwin([]) is adwin([1.0]) is adwin([1.0] * 50) is page_hinkley([]) is None
