"""Who took part: shares, failures, silence."""

import pytest

from flwr_registry.records import Contribution, ContributionStatus
from flwr_registry.strategy.contributions import (
    complete_contributions,
    count_of_successes,
)

FAILED = Contribution("3", status=ContributionStatus.ERROR, error_reason="boom")


def answered(node_id, num_examples=None):
    return Contribution(node_id, num_examples=num_examples)


def test_shares_are_of_all_that_answered():
    completed = complete_contributions(
        [answered("1", 30), answered("2", 10), FAILED], []
    )
    assert [each.weight_share for each in completed] == [0.75, 0.25, None]
    assert count_of_successes(completed) == 2


def test_no_shares_without_examples():
    for examples in (None, 0):
        (only,) = complete_contributions([answered("1", examples)], [])
        assert only.weight_share is None


def test_silent_nodes_are_added_in_order_of_choice():
    completed = complete_contributions([answered("2", 1)], ["9", "2", "7"])
    assert [each.node_id for each in completed] == ["2", "9", "7"]
    assert completed[1].status is ContributionStatus.NO_REPLY


@pytest.mark.parametrize(
    ("reasons", "status", "reason"),
    [
        (["timeout"], ContributionStatus.ERROR, "timeout"),
        (["timeout", "other"], ContributionStatus.NO_REPLY, ""),
        ([], ContributionStatus.NO_REPLY, ""),
    ],
)
def test_a_failure_without_a_name_goes_to_the_silent_node(reasons, status, reason):
    silent = complete_contributions([answered("1", 1)], ["1", "2"], reasons)[1]
    assert (silent.status, silent.error_reason) == (status, reason)
