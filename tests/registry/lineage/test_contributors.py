"""Which nodes made a version, over its whole line, under which names."""

import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.errors import NodeNotFoundError
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    RoundFacts,
    RunProvenance,
)
from flwr_registry.registry import ModelRegistry


def test_the_whole_line_counts(registry, start):
    run = start()
    for server_round, nodes in enumerate((("ann", "bob"), ("ann",)), start=1):
        given = [Contribution(node, num_examples=10.0 * server_round) for node in nodes]
        lost = Contribution("cid", status=ContributionStatus.NO_REPLY)
        registry.register(
            weights_of(server_round),
            model="digits",
            run=run,
            facts=RoundFacts(server_round, {}, [*given, lost]),
        )
    ann, bob = registry.contributors("digits")
    assert (ann.node_id, ann.rounds, ann.num_examples) == ("ann", 2, 30.0)
    assert (ann.first_version, ann.last_version) == ("1.0.0", "1.1.0")
    assert (bob.first_version, bob.last_version) == ("1.0.0", "1.0.0")
    assert (ann.share, bob.share) == (0.75, 0.25)


def test_without_counts_there_is_no_share(registry, add, start):
    add(1, run=start(), facts=facts_of(1, "ann"))
    (ann,) = registry.contributors("digits")
    assert (ann.num_examples, ann.share) == (0.0, None)


def test_what_a_node_touched_over_branches_and_models(registry, add, start):
    add(1, run=start(), facts=facts_of(1, "ann"))
    add(2, run=start("second"), facts=facts_of(1, "bob"), parent="1.0.0")
    add(3, run=start("third"), facts=facts_of(1, "bob"))
    other = start("fourth", model="cats")
    registry.register(weights_of(4), model="cats", run=other, facts=facts_of(1, "ann"))
    affected = [each.reference for each in registry.affected_by("ann")]
    assert affected == ["digits:1.0.0", "digits:1.1.0", "cats:1.0.0"]
    assert [v.reference for v in registry.affected_by("bob")] == [
        "digits:1.1.0",
        "digits:1.2.0",
    ]


def test_an_unknown_node_is_an_error_that_names_the_key(registry, add):
    add(1)
    with pytest.raises(NodeNotFoundError, match="node key"):
        registry.affected_by("nobody")


def test_pseudonyms_are_found_by_id_under_the_key_alone(database_url, tmp_path):
    folder = tmp_path / "weights"
    with ModelRegistry(database_url, folder, node_key="secret") as keyed:
        run = keyed.start_run(RunProvenance("trial", "digits"))
        facts = facts_of(1, "ann")
        keyed.register(weights_of(1), model="digits", run=run, facts=facts)
        (given,) = keyed.contributions("digits")
        assert given.node_id.startswith("hmac-") and "ann" not in given.node_id
        assert len(keyed.affected_by("ann")) == 1
        assert len(keyed.affected_by(given.node_id)) == 1
    with ModelRegistry(database_url, folder) as plain:
        assert len(plain.affected_by(given.node_id)) == 1
        with pytest.raises(NodeNotFoundError):
            plain.affected_by("ann")
    with (
        ModelRegistry(database_url, folder, node_key="other") as wrong,
        pytest.raises(NodeNotFoundError),
    ):
        wrong.affected_by("ann")
