"""Where the registry lies, as the command line says it."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from typer.testing import CliRunner

from flwr_registry import ModelRegistry
from flwr_registry.cli import app


def told(*words, code=0):
    done = CliRunner().invoke(app, ["where", *words])
    assert done.exit_code == code, done.output
    return " ".join(done.stdout.split())


def where(*words):
    done = CliRunner().invoke(app, ["where", *words, "--format", "json"])
    return json.loads(done.stdout)["where"]


def test_relative_places_are_those_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ModelRegistry(tmp_path / "r.db", tmp_path / "w") as registry:
        registry.register({"w": np.ones(2)}, model="digits")
        identity = registry.where().registry_id
    text = told("--registry", "r.db", "--storage", "w")
    assert f"database sqlite:///{tmp_path}/r.db database by --registry" in text
    assert "database holds 1 version of digits, 0 runs" in text
    assert (
        f"storage {tmp_path}/w storage by --storage storage holds files of 1 version"
        in text
    )
    assert f"storage of this registry's, {identity}" in text
    monkeypatch.setenv("FLWR_REGISTRY_URL", "r.db")
    monkeypatch.setenv("FLWR_REGISTRY_STORAGE", "w")
    found = where()
    assert found["database"] == f"sqlite:///{tmp_path}/r.db"
    assert found["database_origin"] == "FLWR_REGISTRY_URL"
    assert found["storage_origin"] == "FLWR_REGISTRY_STORAGE"
    assert found["owner"]["registry_id"] == identity


def test_another_registrys_storage_is_told_of(tmp_path):
    with ModelRegistry(tmp_path / "a.db", tmp_path / "w") as registry:
        registry.register({"w": np.ones(2)}, model="digits")
    ModelRegistry(tmp_path / "b.db").close()
    places = ("--registry", str(tmp_path / "b.db"), "--storage", str(tmp_path / "w"))
    text = told(*places)
    assert "storage of another registry's" in text and f"{tmp_path}/a.db" in text


def test_nothing_is_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    monkeypatch.delenv("FLWR_REGISTRY_URL", raising=False)
    text = told()
    assert "database by default, in FLWR_HOME database holds nothing" in text
    assert not list(tmp_path.iterdir())
    assert where()["storage"] == f"{tmp_path}/registry"
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "register FILE --model NAME" in done.stdout
    assert "flwr-registry where" in done.stderr


def test_a_storage_that_cannot_be_read_is_told_of(tmp_path):
    ModelRegistry(tmp_path / "r.db").close()
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "registry.json").write_text("{")
    places = ("--registry", str(tmp_path / "r.db"), "--storage", str(tmp_path / "w"))
    text = told(*places)
    assert "cannot be read" in text and "storage of unknown" in text


@pytest.mark.parametrize("why", ["schema", "protocol", "unreachable"])
def test_what_cannot_be_opened_is_told_with_its_places(tmp_path, why):
    database, storage = str(tmp_path / "r.db"), str(tmp_path / "w")
    if why == "schema":
        make_old(database)
    elif why == "protocol":
        storage = "nosuch://bucket"
        ModelRegistry(database).close()
    else:
        database = "postgresql://ada:secret@127.0.0.1:1/registry"
    words = ["where", "--registry", database, "--storage", storage]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and "Error: " in done.stderr
    text = " ".join(done.stdout.split())
    assert "database by --registry" in text and f"storage {storage}" in text
    assert "secret" not in done.output
    found = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).stdout)
    assert found["where"]["storage"] == storage and found["problem"]


def test_an_old_database_is_told_of_in_json_with_the_whole_remedy(tmp_path):
    make_old(str(tmp_path / "r.db"))
    words = ["doctor", "--registry", str(tmp_path / "r.db"), "--format", "json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["registry"] == f"sqlite:///{tmp_path}/r.db"
    (finding,) = said["findings"]
    upgrade = f"flwr-registry database upgrade --registry sqlite:///{tmp_path}/r.db"
    assert finding["remedy"] == upgrade


def make_old(place):
    ModelRegistry(place).close()
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
