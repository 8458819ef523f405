"""What differs between two versions."""

import numpy as np
import pytest
from registry.samples import facts_of

from flwr_registry.errors import IntegrityError
from flwr_registry.records import RunProvenance, VersionMetadata

A = {"w": np.array([3.0, 4.0]), "b": np.zeros(2), "old": np.ones(1), "s": np.ones(3)}
B = {"w": np.array([3.0, 0.0]), "b": np.zeros(2), "new": np.ones(1), "s": np.ones(4)}


@pytest.fixture
def two(registry):
    for number, (arrays, eta, nodes) in enumerate(
        [(A, 0.1, ("ann", "bob")), (B, 0.2, ("bob", "cid"))], start=1
    ):
        provenance = RunProvenance(
            f"run-{number}", "digits", strategy="FedAdam", strategy_config={"eta": eta}
        )
        registry.register(
            arrays,
            model="digits",
            run=registry.start_run(provenance),
            facts=facts_of(1, *nodes),
            metrics={"accuracy": 0.5 * number, "note": "a text"},
            metadata=VersionMetadata(
                tags={"site": f"s{number}"}, model_config={"net": {"depth": number}}
            ),
        )
    return registry


def test_weights_layer_by_layer(two):
    weights = two.diff("digits:1.0.0", "digits:2.0.0").weights
    w, b = weights.layers
    assert (w.name, w.norm_a, w.norm_b) == ("w", 5.0, 3.0)
    assert (w.norm_difference, w.largest_change) == (4.0, 4.0)
    assert w.cosine == pytest.approx(0.6)
    assert w.relative_change == pytest.approx(0.8)
    assert (b.cosine, b.relative_change) == (None, 0.0)
    assert weights.total.norm_difference == 4.0
    assert [each.name for each in weights.mismatched] == ["s"]
    assert (weights.only_in_a, weights.only_in_b) == (("old",), ("new",))
    assert not weights.identical


def test_metrics_contributors_and_configuration(two):
    found = two.diff("digits:1.0.0", "digits:2.0.0")
    assert (found.a, found.b) == ("digits:1.0.0", "digits:2.0.0")
    changes = {each.name: (each.a, each.b, each.change) for each in found.metrics}
    assert changes == {
        "accuracy": (0.5, 1.0, 0.5),
        "note": ("a text", "a text", None),
    }
    nodes = found.contributors
    assert nodes.only_in_a == ("ann",)
    assert nodes.both == ("bob",)
    assert nodes.only_in_b == ("cid",)
    assert {each.name: (each.a, each.b) for each in found.configuration} == {
        "tags.site": ("s1", "s2"),
        "model_config.net.depth": (1, 2),
        "strategy_config.eta": (0.1, 0.2),
    }


def test_a_version_does_not_differ_from_itself(two):
    found = two.diff("digits:1.0.0", "digits:1.0.0")
    assert found.weights.identical
    assert found.weights.total.norm_difference == 0
    assert found.configuration == ()


def test_damage_is_told_and_removed_bytes_are_no_error(two, sql):
    version = two.get("digits:1.0.0")
    path = f"{two.storage.url}/{version.storage_path}"
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(IntegrityError, match=r"models/digits/1[.]0[.]0"):
        two.diff("digits:1.0.0", "digits:2.0.0")
    sql(
        "UPDATE model_versions SET bytes_removed_at = :at WHERE version = '1.0.0'",
        at=version.created_at,
    )
    assert two.diff("digits:1.0.0", "digits:2.0.0").weights is None
