"""A schema is made or migrated, whole or not at all, and checked on opening."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

import flwr_registry
from flwr_registry.errors import DatabaseError, SchemaVersionError
from flwr_registry.registry import ModelRegistry, upgrade_database
from flwr_registry.registry.database.migrations import HEAD, REVISIONS
from flwr_registry.registry.rows.registry_db import metadata

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(flwr_registry.__file__).parents[1]),
}
# Indexes with their conditions, triggers and functions.
OTHERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type <> 'table' AND sql <> ''",
    "postgresql": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE NOT tgisinternal UNION SELECT proname, pg_get_functiondef(oid)"
    " FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    " UNION SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
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


def migrate(url):
    """Take the way of a database that is as old as the first release."""
    config = Config()
    config.set_main_option(
        "script_location", "flwr_registry.registry.database:migrations"
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    engine.dispose()


def described(url):
    """Say all that a database holds of a schema, alike for both makers of it."""
    engine = create_engine(url)
    found = inspect(engine)
    tables = {
        table: {
            # An added column stands at the end of a table that was there before.
            "columns": sorted(
                f"{column['name']} {column['type']} {column['nullable']} "
                f"{column['default']}"
                for column in found.get_columns(table)
            ),
            "primary": found.get_pk_constraint(table),
            "checks": sorted(map(str, found.get_check_constraints(table))),
            "foreign": sorted(map(str, found.get_foreign_keys(table))),
            "unique": sorted(map(str, found.get_unique_constraints(table))),
        }
        for table in found.get_table_names()
    }
    with engine.connect() as connection:
        rows = connection.execute(text(OTHERS[engine.dialect.name])).all()
    engine.dispose()
    return tables, {name: " ".join(words.split()) for name, words in rows}


def test_a_new_schema_is_the_one_that_the_migrations_arrive_at(
    database_url, empty_database_url, backend
):
    if backend == "sqlite":
        empty_database_url += "-migrated"
    migrate(empty_database_url)
    tables, others = described(database_url)
    migrated_tables, migrated_others = described(empty_database_url)
    for table, parts in tables.items():
        assert parts == migrated_tables[table], table
    assert others == migrated_others
    assert tables.keys() == migrated_tables.keys()
    assert tables.keys() == {*metadata.tables, "alembic_version"}
    assert any("append-only" in words for words in others.values())


def test_the_migrated_schema_is_that_of_the_rows(empty_database_url, tmp_path):
    (tmp_path / "database").mkdir()
    migrate(empty_database_url)
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


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


def test_a_database_is_made_and_opened_without_alembic(tmp_path):
    url = str(tmp_path / "registry.db")
    for _ in range(2):
        output, error = open_in_process(url, str(tmp_path)).communicate("go\n", 60)
        assert (output.strip(), error) == ("[] False", "")
