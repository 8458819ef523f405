"""Where database and storage lie."""

import logging
from pathlib import Path

import pytest

from flwr_registry.errors import DatabaseError
from flwr_registry.registry import ModelRegistry, resolve_places
from flwr_registry.registry.database.locations import decide_places
from flwr_registry.storage import FsspecStorageBackend, LocalStorageBackend

HOME = Path("/home/flora")
ROOT = HOME / ".flwr" / "registry"


def decide(url=None, storage=None, *, in_app=False, **environment):
    found = decide_places(
        url,
        storage,
        environment=environment,
        home=HOME,
        here=Path("/srv/here"),
        in_app=in_app,
    )
    return found.database.render_as_string(hide_password=False), found


@pytest.mark.parametrize(
    ("url", "storage", "environment", "database", "folder"),
    [
        (None, None, {}, f"sqlite:///{ROOT}/registry.db", str(ROOT)),
        (
            None,
            None,
            {"FLWR_HOME": "/srv/flwr"},
            "sqlite:////srv/flwr/registry/registry.db",
            "/srv/flwr/registry",
        ),
        (
            None,
            None,
            {"FLWR_HOME": "flwr"},
            "sqlite:////srv/here/flwr/registry/registry.db",
            "/srv/here/flwr/registry",
        ),
        (
            None,
            None,
            {"FLWR_HOME": "~/f"},
            "sqlite:////home/flora/f/registry/registry.db",
            "/home/flora/f/registry",
        ),
        ("sqlite:////data/a.db", None, {}, "sqlite:////data/a.db", "/data"),
        (Path("/data/a.db"), None, {}, "sqlite:////data/a.db", "/data"),
        ("sqlite:///~/a.db", None, {}, "sqlite:////home/flora/a.db", "/home/flora"),
        ("~/a.db", None, {}, "sqlite:////home/flora/a.db", "/home/flora"),
        (None, "/data", {}, "sqlite:////data/registry.db", "/data"),
        (None, "file:///data%20x", {}, "sqlite:////data x/registry.db", "/data x"),
        (None, "s3://b/p", {}, f"sqlite:///{ROOT}/registry.db", "s3://b/p"),
        ("postgresql://u:p@h/d", None, {}, "postgresql://u:p@h/d", str(ROOT)),
        (
            None,
            None,
            {"FLWR_REGISTRY_URL": "/e/e.db", "FLWR_REGISTRY_STORAGE": "s3://b"},
            "sqlite:////e/e.db",
            "s3://b",
        ),
        (
            "/data/a.db",
            "/weights",
            {"FLWR_REGISTRY_URL": "/e/e.db", "FLWR_REGISTRY_STORAGE": "s3://b"},
            "sqlite:////data/a.db",
            "/weights",
        ),
    ],
)
def test_places(url, storage, environment, database, folder):
    text, found = decide(url, storage, **environment)
    assert text == database
    assert found.storage == folder
    assert found.warnings == ()


@pytest.mark.parametrize("by_environment", [False, True])
def test_relative_paths_are_taken_under_the_working_directory(by_environment):
    places = ("a/b.db", "w")
    given = {"FLWR_REGISTRY_URL": "a/b.db", "FLWR_REGISTRY_STORAGE": "w"}
    text, found = decide(**given) if by_environment else decide(*places)
    assert text == "sqlite:////srv/here/a/b.db"
    assert (found.storage, found.warnings) == ("/srv/here/w", ())
    text, found = decide("sqlite:///../b.db")
    assert (text, found.storage) == ("sqlite:////srv/b.db", "/srv")


@pytest.mark.parametrize("by_environment", [False, True])
def test_those_of_an_app_are_taken_under_flowers_home_with_a_warning(by_environment):
    places = ("a/b.db", "w")
    given = {"FLWR_REGISTRY_URL": "a/b.db", "FLWR_REGISTRY_STORAGE": "w"}
    told = decide(in_app=True, **given) if by_environment else decide(*places, in_app=1)
    text, found = told
    assert text == f"sqlite:///{ROOT}/a/b.db"
    assert found.storage == f"{ROOT}/w"
    storage_warning, database_warning = found.warnings
    assert f"{ROOT}/w" in storage_warning
    assert f"{ROOT}/a/b.db" in database_warning


@pytest.mark.parametrize(
    ("url", "storage", "environment", "origins"),
    [
        (None, None, {}, ("default, in Flower's home",) * 2),
        (None, None, {"FLWR_HOME": "/f"}, ("default, in FLWR_HOME",) * 2),
        ("a.db", None, {}, ("argument", "beside the database")),
        (None, "w", {}, ("beside the storage", "argument")),
        (None, "s3://b", {}, ("default, in Flower's home", "argument")),
        ("postgresql://h/d", None, {}, ("argument", "default, in Flower's home")),
        (
            None,
            None,
            {"FLWR_REGISTRY_URL": "a.db", "FLWR_REGISTRY_STORAGE": "w"},
            ("FLWR_REGISTRY_URL", "FLWR_REGISTRY_STORAGE"),
        ),
        (None, None, {"FLWR_REGISTRY_URL": ""}, ("default, in Flower's home",) * 2),
        (
            "a.db",
            None,
            {"FLWR_REGISTRY_STORAGE": "w"},
            ("argument", "FLWR_REGISTRY_STORAGE"),
        ),
    ],
)
def test_places_tell_who_says_so(url, storage, environment, origins):
    _, found = decide(url, storage, **environment)
    assert (found.database_origin, found.storage_origin) == origins


def test_a_storage_object_is_kept_and_a_local_one_holds_the_database():
    local, memory = LocalStorageBackend("/data/x"), FsspecStorageBackend("memory://x")
    text, found = decide(None, local)
    assert (text, found.storage) == ("sqlite:////data/x/registry.db", local)
    text, found = decide(None, memory)
    assert (text, found.storage) == (f"sqlite:///{ROOT}/registry.db", memory)


def test_the_storage_is_shown_without_its_password():
    _, found = decide(None, "memory://ann:pl/anted@host/a")
    assert found.storage == "memory://ann:pl/anted@host/a"
    assert found.storage_url == "memory://host/a"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:secret@h/d",
        "://",
        "sqlite:///file:x",
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url):
    with pytest.raises(DatabaseError) as raised:
        decide(url)
    assert "secret" not in str(raised.value)


def test_a_relative_path_of_an_app_is_logged_once_with_the_absolute_place(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["/usr/bin/flwr-serverapp"])
    with caplog.at_level(logging.WARNING, "flwr"):
        resolve_places("lost.db")
        with ModelRegistry("lost.db") as opened:
            assert opened.url == f"sqlite:///{tmp_path}/registry/lost.db"
    (told,) = caplog.messages
    assert f"{tmp_path}/registry/lost.db" in told


def test_a_relative_path_of_a_program_is_that_of_its_folder(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    with ModelRegistry("here.db", "weights") as opened:
        assert opened.url == f"sqlite:///{tmp_path}/here.db"
        assert opened.storage.url == f"{tmp_path}/weights"
    assert not caplog.messages


def test_the_default_is_under_flowers_home(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    with ModelRegistry() as opened:
        assert opened.url == f"sqlite:///{tmp_path}/registry/registry.db"
        assert opened.storage.url == str(tmp_path / "registry")
    assert (tmp_path / "registry" / "registry.db").is_file()
