"""Ancestors, descendants, common ancestors and paths over branches."""

import pytest

from flwr_registry.errors import ModelNotFoundError


@pytest.fixture
def branched(registry, add):
    """1.0.0 - 1.1.0 - 1.2.0, with 1.3.0 and 1.4.0 on a branch from 1.0.0."""
    add(0)
    for value, parent in enumerate(("1.0.0", "1.1.0", "1.0.0", "1.3.0"), start=1):
        add(value, parent=parent)
    return registry


def numbers(versions):
    return [each.version for each in versions]


def test_the_way_up_and_all_ways_down(branched):
    assert numbers(branched.ancestors("digits:1.4.0")) == ["1.3.0", "1.0.0"]
    assert numbers(branched.ancestors("digits:1.0.0")) == []
    down = branched.descendants("digits:1.0.0")
    assert numbers(down) == ["1.1.0", "1.2.0", "1.3.0", "1.4.0"]


@pytest.mark.parametrize(
    ("a", "b", "common", "path"),
    [
        ("1.2.0", "1.4.0", "1.0.0", ["1.2.0", "1.1.0", "1.0.0", "1.3.0", "1.4.0"]),
        ("1.0.0", "1.2.0", "1.0.0", ["1.0.0", "1.1.0", "1.2.0"]),
        ("1.2.0", "1.1.0", "1.1.0", ["1.2.0", "1.1.0"]),
        ("1.3.0", "1.3.0", "1.3.0", ["1.3.0"]),
    ],
)
def test_what_two_versions_share(branched, a, b, common, path):
    a, b = f"digits:{a}", f"digits:{b}"
    assert branched.common_ancestor(a, b).version == common
    assert numbers(branched.path(a, b)) == path


def test_roots_share_nothing(branched, add):
    other = add(9)
    assert branched.common_ancestor("digits:1.2.0", other.reference) is None
    assert branched.path("digits:1.2.0", other.reference) == ()
    with pytest.raises(ModelNotFoundError):
        branched.path("digits:1.2.0", "digits:7.0.0")
