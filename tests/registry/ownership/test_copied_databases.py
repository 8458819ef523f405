"""A copy of a database carries its identity, and is another one all the same."""

import shutil
import socket
from datetime import timedelta

import pytest
from registry.samples import weights_of

from flwr_registry.errors import InvalidStateError
from flwr_registry.registry import ModelRegistry
from flwr_registry.registry.ownership.root_marks import Mark
from flwr_registry.retention import LatestN


@pytest.fixture
def at(tmp_path, sqlite_template):
    """Open the database of a name, made when it is not there, on one root."""
    opened = []

    def open_it(name):
        place = tmp_path / f"{name}.db"
        if not place.exists():
            shutil.copyfile(sqlite_template, place)
        opened.append(ModelRegistry(place, tmp_path / "root"))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def fill(registry):
    for number in range(1, 5):
        parent = "digits" if number > 1 else None
        registry.register(weights_of(number), model="digits", parent=parent)


def copy(tmp_path, name, new):
    shutil.copyfile(tmp_path / f"{name}.db", tmp_path / f"{new}.db")


def withholds_because_of(registry, other):
    for dry_run in (True, False):
        done = registry.gc(LatestN(1), dry_run=dry_run)
        assert (done.versions, done.orphans) == ((), ())
        assert other.url in done.withheld
        assert "--adopt" in done.withheld
    with pytest.raises(InvalidStateError, match=r"nothing is deleted: .* is also"):
        registry.delete_unknown(older_than=timedelta(seconds=1))
    return True


def test_a_database_and_its_copy_collect_nothing(at, tmp_path):
    first = at("first")
    fill(first)
    copy(tmp_path, "first", "copy")
    first.promote("digits:1.1.0")
    second = at("copy")
    assert withholds_because_of(second, first)
    assert "one is a copy of the other" in second.gc().withheld
    assert withholds_because_of(first, second)
    assert first.load("digits@production")["layer"][0] == 2
    (tmp_path / "copy.db").unlink()
    assert len(first.gc(LatestN(1)).versions) == 1


def test_a_copy_of_one_that_joined(at, tmp_path):
    fill(at("lost"))
    fill(at("joined"))
    (tmp_path / "lost.db").unlink()
    copy(tmp_path, "joined", "copy")
    assert withholds_because_of(at("copy"), at("joined"))
    assert withholds_because_of(at("joined"), at("copy"))


@pytest.mark.slow
def test_a_moved_database_goes_on_and_is_seen_by_others(at, tmp_path):
    fill(at("first"))
    fill(at("other"))
    (tmp_path / "first.db").rename(tmp_path / "moved.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "moved.db")
    at("moved").register(weights_of(5), model="digits")
    assert withholds_because_of(at("other"), at("moved"))
    (tmp_path / "other.db").unlink()
    assert at("moved").gc(dry_run=True).withheld == ""
    assert at("link").gc().withheld == ""


def test_on_another_machine_it_may_be_a_copy(at, monkeypatch):
    fill(at("first"))
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    assert withholds_because_of(at("first"), at("first"))
    at("first").adopt()
    assert len(at("first").gc(LatestN(1)).versions) == 2
    # Whoever it was before is known; nobody knows whether it is still in use.
    with pytest.raises(InvalidStateError, match="former_registries/"):
        at("first").delete_unknown(older_than=timedelta(seconds=1))


def test_all_who_are_shut_out_stay_known(at, tmp_path):
    fill(at("first"))
    copy(tmp_path, "first", "copy")
    fill(at("copy"))
    at("new").adopt()
    for left in ({"first", "copy"}, {"first"}, {"copy"}):
        for name in {"first", "copy"} - left:
            (tmp_path / f"{name}.db").rename(tmp_path / f"{name}.away")
        with pytest.raises(InvalidStateError, match=rf"({'|'.join(left)})\.db"):
            at("new").delete_unknown(older_than=timedelta(seconds=1))
        for name in {"first", "copy"} - left:
            (tmp_path / f"{name}.away").rename(tmp_path / f"{name}.db")
    for name in ("first", "copy"):
        (tmp_path / f"{name}.db").unlink()
    assert at("new").gc().withheld == ""
    at("new").register(weights_of(1), model="digits")
    at("new").delete_unknown(older_than=timedelta(days=1))


@pytest.mark.parametrize(
    ("url", "host", "is_same"),
    [
        ("postgresql+asyncpg://ann:***@DB.example.org:5432/r?ssl=on", "there", True),
        ("postgresql://db.example.org/r?options=-csearch_path%3Dx", "here", False),
        ("postgresql://db.example.org:5433/r", "here", False),
        ("postgresql://db.example.org/copy", "here", False),
        ("postgresql://localhost/r", "here", False),
        ("sqlite:////r", "here", False),
    ],
)
def test_one_database_of_a_server_has_many_urls(url, host, is_same):
    here = Mark("id", "postgresql://db.example.org/r", "here")
    assert Mark("id", url, host).is_at(here) is is_same
