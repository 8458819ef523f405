"""Changes for the worse are found where they are, and nowhere else."""

from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.validation.sequential_tests import page_hinkley


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


def test_nothing_is_no_change():
    assert page_hinkley([]) is None
