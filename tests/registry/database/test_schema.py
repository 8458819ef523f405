"""A schema is made or migrated, whole or not at all, and checked on opening."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import flwr_registry
from flwr_registry.errors import DatabaseError, SchemaVersionError
from flwr_registry.registry import ModelRegistry, upgrade_database
from flwr_registry.registry.database.migrations import HEAD, REVISIONS

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(flwr_registry.__file__).parents[1]),
}
OPENS = """
import sys
from flwr_registry.registry import ModelRegistry
sys.stdin.readline()
with ModelRegistry(sys.argv[1], sys.argv[2]) as opened:
    print(opened.models(), "alembic" in sys.modules)
"""


def open_in_process(url, storage):
    return subprocess.Popen(
        [sys.executable, "-c", OPENS, url, storage],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_known_revisions_are_those_of_the_scripts():
    config = Config()
    config.set_main_option(
        "script_location", "flwr_registry.registry.database:migrations"
    )
    scripts = ScriptDirectory.from_config(config)
    assert [step.revision for step in scripts.walk_revisions()] == [*REVISIONS[::-1]]
    assert scripts.get_current_head() == HEAD


def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(
    registry, database_url, sql, monkeypatch
):
    sql("UPDATE alembic_version SET version_num = '0000'")
    monkeypatch.setattr(
        "flwr_registry.registry.database.schema.REVISIONS", ("0000", *REVISIONS)
    )
    with pytest.raises(SchemaVersionError) as raised:
        ModelRegistry(database_url)
    command = f"flwr-registry database upgrade --registry {registry.url}"
    assert command in str(raised.value)


def test_a_newer_schema_is_refused(registry, database_url, sql):
    sql("UPDATE alembic_version SET version_num = '9999'")
    for use in (ModelRegistry, upgrade_database):
        with pytest.raises(SchemaVersionError, match="upgrade flwr-registry"):
            use(database_url)


def test_an_upgrade_of_the_newest_schema_changes_nothing(registry, database_url, add):
    add(1)
    assert upgrade_database(database_url) == (HEAD, HEAD)
    assert registry.latest("digits").version == "1.0.0"


def test_a_database_without_schema_is_not_upgraded(tmp_path):
    with pytest.raises(DatabaseError, match="no registry"):
        upgrade_database(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_the_tables_of_another_program_are_left_alone(tmp_path):
    place = tmp_path / "mlflow.db"
    with sqlite3.connect(place) as connection:
        connection.execute("CREATE TABLE model_versions (name TEXT)")
    connection.close()
    before = place.read_bytes()
    with pytest.raises(SchemaVersionError, match="another program"):
        ModelRegistry(place)
    assert place.read_bytes() == before


def test_without_leave_nothing_is_created(tmp_path):
    place = tmp_path / "folder" / "registry.db"
    with pytest.raises(DatabaseError, match="no registry at") as raised:
        ModelRegistry(place, create=False)
    assert str(place) in str(raised.value)
    assert not place.parent.exists()


def test_an_empty_file_becomes_a_registry(tmp_path):
    # What a process leaves that died before it made the schema.
    (tmp_path / "registry.db").touch()
    with ModelRegistry(tmp_path / "registry.db") as opened:
        assert opened.models() == []


@pytest.mark.slow
def test_eight_processes_create_one_database(empty_database_url, tmp_path):
    processes = [open_in_process(empty_database_url, str(tmp_path)) for _ in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in answers if error] == []
    assert all(output.startswith("[]") for output, _ in answers)
    ModelRegistry(empty_database_url, tmp_path, create=False).close()


@pytest.mark.slow
def test_a_database_is_made_and_opened_without_alembic(tmp_path):
    url = str(tmp_path / "registry.db")
    for _ in range(2):
        output, error = open_in_process(url, str(tmp_path)).communicate("go\n", 60)
        assert (output.strip(), error) == ("[] False", "")
