"""A database that shared another's storage is given one of its own."""

import json
import shutil
from datetime import timedelta

import pytest
from registry.samples import weights_of

from flwr_registry.errors import StorageOwnerError
from flwr_registry.registry import ModelRegistry
from flwr_registry.retention import LatestN

REFUSED = "belongs to another registry"


@pytest.fixture
def at(tmp_path, sqlite_template):
    """Open the database of a name, made when it is not there, on the root of a name."""
    opened = []

    def open_it(name, root):
        place = tmp_path / f"{name}.db"
        if not place.exists():
            shutil.copyfile(sqlite_template, place)
        opened.append(ModelRegistry(place, tmp_path / root))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def fill(registry, *numbers):
    for number in numbers:
        registry.register(weights_of(number), model="digits")
    return registry


def owner_of(root):
    return json.loads((root / "registry.json").read_text())["id"]


def test_it_has_that_under_its_own_identity(at, tmp_path):
    first = fill(at("first", "shared"), 1)
    at("joined", "shared").claim_storage()
    joined = fill(at("joined", "own"), 2)
    assert owner_of(tmp_path / "own") != owner_of(tmp_path / "shared")
    visitor = at("first", "own")
    for attempt in (
        lambda: fill(visitor, 3),
        visitor.gc,
        lambda: visitor.delete_unknown(older_than=timedelta(microseconds=1)),
    ):
        with pytest.raises(StorageOwnerError, match=REFUSED):
            attempt()
    assert joined.doctor() == [] == first.doctor()
    fill(at("joined", "own"), 3)


def test_what_it_has_in_the_other_stays_there(at, tmp_path):
    first = fill(at("first", "shared"), 1)
    fill(at("joined", "shared"), 2, 3)
    left = {each for each in (tmp_path / "shared/models").rglob("*") if each.is_file()}
    moved = fill(at("joined", "own"), 4)
    moved.gc(LatestN(1), grace_seconds=-1)
    assert moved.load("digits")["layer"][0] == 4
    assert "joined.db" in first.gc(LatestN(1)).withheld
    back = fill(at("joined", "shared"), 5)
    assert "first.db" in back.gc(LatestN(1)).withheld
    assert left <= set((tmp_path / "shared/models").rglob("*"))
    assert fill(at("joined", "own"), 6).gc(LatestN(1)).withheld == ""
    first.adopt()
    with pytest.raises(StorageOwnerError, match=REFUSED):
        fill(at("joined", "shared"), 7)


def test_the_one_it_shared_is_no_other_when_that_lost_its_mark(at, tmp_path):
    first = fill(at("first", "shared"), 1)
    fill(at("joined", "shared"), 2)
    identity = owner_of(tmp_path / "shared")
    (tmp_path / "shared/registry.json").unlink()
    joined = fill(at("joined", "shared"), 3)
    assert owner_of(tmp_path / "shared") == identity
    fill(at("first", "shared"), 4)
    assert "joined.db" in first.gc(LatestN(1)).withheld
    assert "first.db" in joined.gc(LatestN(1)).withheld
