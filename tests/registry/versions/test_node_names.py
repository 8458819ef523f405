"""What is written of nodes where there is a node key."""

import re

import pytest

from flwr_registry.records import Contribution, ContributionStatus
from flwr_registry.registry import NodeNames


def test_an_error_names_the_node_by_its_pseudonym():
    node = "17446744073709551615"
    given = Contribution(
        node,
        status=ContributionStatus.ERROR,
        error_reason=f"node {node}: 1{node} of {node}",
    )
    (named,) = NodeNames("key").contributions([given])
    assert named.error_reason == f"node {named.node_id}: 1{node} of {named.node_id}"
    short = Contribution("11", error_reason="exit code 11")
    assert NodeNames("key").contributions([short])[0].error_reason == "exit code 11"


@pytest.mark.parametrize("key", [None, "key"])
def test_what_names_no_node_costs_a_round_no_search(key, monkeypatch):
    given = [Contribution(str(2**63 + each)) for each in range(3)]
    given.append(Contribution("12345678", error_reason="exit code 1"))
    if key is None:
        given.append(Contribution("87654321", error_reason="node 87654321 is gone"))
    searched = []
    with monkeypatch.context() as patched:
        patched.setattr(re, "sub", lambda *args: searched.append(args) or args[2])
        named = NodeNames(key).contributions(given)
    assert not searched
    assert [each.error_reason for each in named] == [
        each.error_reason for each in given
    ]
