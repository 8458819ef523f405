"""Who took part: shares, failures, silence."""

import math

import numpy as np
import pytest

from flwr_registry.records import Contribution, ContributionStatus
from flwr_registry.strategy.contributions import (
    complete_contributions,
    count_of_successes,
    examples_of,
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


def test_two_answers_of_a_node_are_one_contribution():
    first = Contribution("1", num_examples=30, metrics={"loss": 1.0, "task": "a"})
    second = Contribution("1", num_examples=10, metrics={"loss": 2.0})
    merged, other = complete_contributions(
        [first, second, answered("2", 40)], ["1", "1", "2"]
    )
    assert (merged.num_examples, merged.weight_share) == (40, 0.5)
    assert merged.metrics == {"loss": 2.0, "task": "a"}
    assert (merged.status, other.weight_share) == (ContributionStatus.OK, 0.5)


@pytest.mark.parametrize("order", [1, -1])
def test_a_node_that_answers_one_of_two_messages_has_answered(order):
    replies = [answered("3", 5), FAILED][::order]
    (merged,) = complete_contributions(replies, ["3", "3"])
    assert (merged.status, merged.num_examples) == (ContributionStatus.OK, 5)
    assert merged.error_reason == "boom"


def test_a_node_that_is_silent_to_one_of_two_messages():
    (merged,) = complete_contributions([answered("3", 5)], ["3", "3"])
    assert (merged.status, merged.error_reason) == (ContributionStatus.OK, "")
    (merged,) = complete_contributions([answered("3", 5)], ["3", "3"], ["timeout"])
    assert (merged.status, merged.error_reason) == (ContributionStatus.OK, "timeout")
    (merged,) = complete_contributions([FAILED], ["3", "3"])
    assert (merged.status, merged.error_reason) == (ContributionStatus.ERROR, "boom")
    (merged,) = complete_contributions([], ["3", "3"])
    assert merged.status is ContributionStatus.NO_REPLY


def test_texts_have_an_end():
    reason = "Traceback" + "x" * 100_000 + "ValueError"
    (failed,) = complete_contributions(
        [Contribution("4" * 500, ContributionStatus.ERROR, error_reason=reason)], []
    )
    assert len(failed.node_id) == 200
    assert len(failed.error_reason) < 2100
    assert failed.error_reason.startswith("Traceback")
    assert failed.error_reason.endswith("ValueError")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(3), 3.0),
        (np.float32(0.5), 0.5),
        (0, 0.0),
        (-1, None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        ("12", None),
        (None, None),
        (True, None),
    ],
)
def test_examples_are_a_finite_count(given, expected):
    assert examples_of(given) == expected


def test_shares_of_counts_that_no_float_can_add_up():
    huge = [answered("1", 1.7e308), answered("2", 1.7e308)]
    assert [each.weight_share for each in complete_contributions(huge, [])] == [
        None
    ] * 2
