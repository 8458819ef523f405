"""What is written of nodes where there is a node key."""

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
