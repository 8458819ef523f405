"""Where versions come from and what came of them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry.samples import weights_of

from flwr_registry.errors import ModelNotFoundError
from flwr_registry.registry import ModelRegistry


def numbers(versions):
    return [version.version for version in versions]


def test_lineage_with_branches(registry, add):
    add(1)
    add(2, parent="1.0.0")
    add(3, parent="1.1.0")
    add(4, parent="1.1.0", bump="patch")
    add(5, parent="1.1.1")
    add(6, parent="1.0.0", size=9)
    add(7)
    found = registry.lineage("digits:1.1.0")
    assert found.version == registry.get("digits:1.1.0")
    assert numbers(found.ancestors) == ["1.0.0"]
    assert numbers(found.descendants) == ["1.2.0", "1.1.1", "1.3.0"]
    assert numbers(registry.lineage("digits:1.3.0").ancestors) == [
        *("1.1.1", "1.1.0", "1.0.0")
    ]
    root = registry.lineage("digits:1.0.0")
    assert root.ancestors == ()
    assert numbers(root.descendants) == ["1.1.0", "1.2.0", "1.1.1", "1.3.0", "2.0.0"]
    assert registry.lineage("digits").descendants == ()


def test_the_lineage_of_nothing(registry):
    with pytest.raises(ModelNotFoundError):
        registry.lineage("digits")


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=7), st.uuids())
def test_any_tree_is_given_back(tmp_path: Path, choices: list[int], name: object):
    with ModelRegistry(tmp_path / f"{name}.db") as registry:
        made = []
        for index, choice in enumerate(choices):
            parent = made[choice % len(made)].version if made and choice % 4 else None
            version = registry.register(weights_of(index), model="m", parent=parent)
            made.append(version)
        by_id = {version.id: version for version in made}
        for version in made:
            expected, elder = [], version.parent_id
            while elder is not None:
                expected.append(by_id[elder])
                elder = by_id[elder].parent_id
            found = registry.lineage(version.reference)
            assert list(found.ancestors) == expected
            for younger in found.descendants:
                assert version in registry.lineage(younger.reference).ancestors
