"""Which databases that wrote to a root are known to be gone."""

import os
from datetime import timedelta

import pytest
from registry.samples import weights_of

from flwr_registry.errors import InvalidStateError
from flwr_registry.registry import ModelRegistry
from flwr_registry.registry.ownership.root_marks import Mark

SERVER = "postgresql+psycopg://u:***@{}/registry"


@pytest.mark.parametrize(
    "place", ["{}/run#1/q.db", "{}/100% ü?/q.db", "sqlite:///{}/q.db?timeout=10"]
)
def test_a_database_that_is_there_is_not_gone(tmp_path, place):
    root = tmp_path / "root"
    with ModelRegistry(place.format(tmp_path), root) as lively:
        lively.register(weights_of(1), model="digits")
        lively.promote("digits")
        for file in root.glob("models/**/*.*"):
            os.utime(file, (0, 0))
        with ModelRegistry(tmp_path / "other.db", root) as other:
            other.register(weights_of(2), model="letters")
            with pytest.raises(InvalidStateError, match=r"nothing is deleted.*also"):
                other.delete_unknown(older_than=timedelta(days=7))
        assert lively.load("digits@production")["layer"][0] == 1


@pytest.mark.parametrize(
    ("database", "host", "is_gone"),
    [
        ("sqlite:////nowhere/run%231/q.db?timeout=10", "here", True),
        ("sqlite:////nowhere/run%231/q.db", "there", False),
        ("sqlite:////{}/q%23.db", "here", False),
        ("sqlite:////{}/q%23.db?timeout=10", "here", False),
        ("sqlite:////{}/own.db?timeout=10", "here", True),
        ("sqlite:////{}/own.db", "there", False),
        ("sqlite+aiosqlite:////{}/own.db", "there", False),
        ("nonsense", "here", False),
        ("postgresql://h:port/registry", "here", False),
    ],
)
def test_which_files_are_gone(tmp_path, database, host, is_gone):
    for name in ("own.db", "q#.db"):
        (tmp_path / name).touch()
    here = Mark("new", f"sqlite:///{tmp_path}/own.db", "here")
    mark = Mark("old", database.format(str(tmp_path)[1:]), host)
    assert mark.is_gone(here) is is_gone


def test_a_file_that_may_not_be_looked_at_is_not_gone(tmp_path):
    # A name that is too long is refused by the system, also to the superuser.
    mark = Mark("old", f"sqlite:///{tmp_path}/{'q' * 300}.db", "here")
    assert not mark.is_gone(Mark("new", f"sqlite:///{tmp_path}/own.db", "here"))


@pytest.mark.parametrize(
    ("server", "host", "is_gone"),
    [
        ("localhost", "there", False),
        ("127.0.0.1:5432", "there", False),
        ("[::1]", "there", False),
        ("", "there", False),
        ("localhost", "here", True),
        ("db.example.org", "there", True),
    ],
)
def test_a_local_server_of_another_machine_is_another(server, host, is_gone):
    url = SERVER.format(server)
    assert Mark("old", url, host).is_gone(Mark("new", url, "here")) is is_gone


def test_a_socket_of_another_machine_is_another_server():
    url = "postgresql:///registry?host=/run/postgresql"
    assert not Mark("old", url, "there").is_gone(Mark("new", url, "here"))
