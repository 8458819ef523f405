"""Databases that earlier releases made: refused, upgraded, and used as before.

The files hold the same four rounds and one version by hand, written by the release.
"""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from registry.samples import facts_of, weights_of
from sqlalchemy import NullPool, create_engine, inspect

from flwr_registry.errors import SchemaVersionError
from flwr_registry.records import MetricSource, RoundStatus, VersionStatus
from flwr_registry.registry import ModelRegistry, upgrade_database
from flwr_registry.registry.audit_log import read_entries, verify_chain
from flwr_registry.registry.database.migrations import HEAD, REVISIONS
from flwr_registry.registry.rows.registry_db import metadata
from flwr_registry.weights import Weights, save_weights

FOLDER = Path(__file__).parent
METRICS = (
    "SELECT version_id, model_id, source, name, value, best_source "
    "FROM version_metrics ORDER BY version_id, source, name"
)

POSTGRESQL_DEFINITIONS = (
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT table_name, column_name, data_type, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_schema = 'public'",
)


QUICK = (REVISIONS[-2], "sqlite")
# An upgrade of the oldest goes through all of them.
RELEASES = [*((each, "sqlite") for each in REVISIONS[:-1]), ("0001", "postgresql")]


@pytest.fixture(
    params=[
        pytest.param(
            each, id="-".join(each), marks=() if each == QUICK else pytest.mark.slow
        )
        for each in RELEASES
    ]
)
def release(request):
    """Revision of a release, and the kind of database."""
    return request.param


@pytest.fixture
def released(release):
    return release[0]


@pytest.fixture
def backend(release):
    return release[1]


@pytest.fixture
def released_url(released, backend, empty_database_url):
    """A database as a release left it."""
    if backend == "sqlite":
        place = Path(empty_database_url.removeprefix("sqlite:///"))
        place.parent.mkdir()
        shutil.copyfile(FOLDER / f"schema_{released}.sqlite", place)
    else:
        run_script(
            empty_database_url,
            (FOLDER / f"schema_{released}.postgresql.sql").read_text(),
        )
    return empty_database_url


@pytest.fixture
def upgraded(released_url, released, tmp_path):
    before, after = upgrade_database(released_url)
    assert (before, after) == (released, HEAD)
    with ModelRegistry(released_url, tmp_path / "weights") as opened:
        yield opened


@pytest.fixture
def new_url(request, backend, tmp_path):
    """A database that this release made."""
    if backend == "sqlite":
        ModelRegistry(tmp_path / "new.db", tmp_path / "weights").close()
        return f"sqlite:///{tmp_path / 'new.db'}"
    server = request.getfixturevalue("postgresql_server")
    return f"{server}/{request.getfixturevalue('postgresql_template')}"


def definitions(url):
    """All tables, constraints, indexes and triggers as the database says them."""
    if url.startswith("sqlite"):
        found = rows(url, "SELECT type, name, sql FROM sqlite_master")
        # An altered table lists its columns and constraints in another order.
        return sorted(
            (kind, name, sorted(re.findall(r"[^\s,\"]+", sql or "")))
            for kind, name, sql in found
        )
    # What was dumped and read back writes casts and brackets in other places.
    casts = re.compile(r"::[a-z ]+(\[\])?|[()]")
    return [
        sorted(casts.sub("", str(row)) for row in rows(url, statement))
        for statement in POSTGRESQL_DEFINITIONS
    ]


def run_script(url, script):
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        # Without parameters psycopg takes many statements at once.
        connection.connection.cursor().execute(script)
        connection.connection.commit()


def rows(url, statement):
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def test_it_is_refused_with_the_command_that_upgrades_it(
    released_url, released, tmp_path
):
    with pytest.raises(SchemaVersionError) as raised:
        ModelRegistry(released_url, tmp_path / "weights")
    assert "flwr-registry database upgrade --registry" in str(raised.value)
    found = rows(released_url, "SELECT version_num FROM alembic_version")
    assert found == [(released,)]


def test_versions_are_read_as_before(upgraded):
    versions = {each.reference: each for each in upgraded.list()}
    assert list(versions) == [
        "other:2.0.0",
        "digits:1.3.0",
        "digits:1.2.0",
        "digits:1.1.0",
        "digits:1.0.0",
    ]
    newest, failed = versions["digits:1.3.0"], versions["digits:1.2.0"]
    assert newest == upgraded.latest("digits")
    assert (newest.parent_version, newest.server_round, newest.num_clients) == (
        "1.1.0",
        4,
        2,
    )
    assert (newest.val_loss, newest.val_accuracy) == (0.25, 0.875)
    assert newest.metrics == {
        "train_clientapp": {"loss": 0.5},
        "evaluate_serverapp": {"accuracy": 0.875, "loss": 0.25},
    }
    assert newest.metadata.tags == {"site": "north"}
    assert failed.status is VersionStatus.FAILED
    assert failed.validation_errors == ("w: 4 of 4 values are NaN",)
    assert versions["digits:1.0.0"].metrics["evaluate_serverapp"]["loss"] == np.inf
    for each in versions.values():
        assert not (each.pinned or each.withdrawn or each.is_production)
        assert each.damaged_at is each.bytes_removed_at is None


def test_runs_rounds_contributions_and_lineage_are_read_as_before(upgraded):
    (run,) = upgraded.runs()
    assert run.provenance.flwr_run_id == "15938422011743906132"
    assert run.provenance.run_config == {"num-server-rounds": 4}
    rounds = upgraded.rounds(run)
    assert [(each.status, each.version) for each in rounds] == [
        (RoundStatus.REGISTERED, "1.0.0"),
        (RoundStatus.REGISTERED, "1.1.0"),
        (RoundStatus.REJECTED, "1.2.0"),
        (RoundStatus.REGISTERED, "1.3.0"),
    ]
    given = upgraded.contributions("digits:1.1.0")
    assert [(each.node_id, each.num_examples) for each in given] == [
        ("11400714819323198485", 60.0),
        ("7", 40.0),
        ("9", None),
    ]
    ancestors = upgraded.lineage("digits").ancestors
    assert [each.version for each in ancestors] == ["1.1.0", "1.0.0"]


def test_the_audit_log_is_still_one_chain(upgraded):
    entries = upgraded._database.read(read_entries)
    assert [entry.action for entry in entries] == ["start_run"] + 5 * ["register"]
    assert verify_chain(entries) == []


def test_metrics_become_searchable(upgraded, released_url):
    central, train = "evaluate_serverapp", "train_clientapp"
    found = [(*row[:5], bool(row[5])) for row in rows(released_url, METRICS)]
    assert found == [
        (1, 1, central, "accuracy", 0.5, True),
        # The central loss is infinite: it is no value, but no other one replaces it.
        (1, 1, train, "loss", 2.0, False),
        (2, 1, central, "accuracy", 0.75, True),
        (2, 1, central, "loss", 0.5, True),
        (2, 1, train, "loss", 1.0, False),
        (3, 1, train, "loss", pytest.approx(2 / 3), True),
        (4, 1, central, "accuracy", 0.875, True),
        (4, 1, central, "loss", 0.25, True),
        (4, 1, train, "loss", 0.5, False),
    ]


def test_the_upgraded_schema_is_that_of_a_new_database(upgraded, released_url, new_url):
    engine = create_engine(released_url, poolclass=NullPool)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        tables = set(inspect(connection).get_table_names())
    assert tables == {*metadata.tables, "alembic_version"}
    assert definitions(released_url) == definitions(new_url)


def test_the_audit_log_is_still_append_only(upgraded, released_url):
    engine = create_engine(released_url, poolclass=NullPool)
    with (
        engine.connect() as connection,
        pytest.raises(Exception, match="append-only"),
    ):
        connection.exec_driver_sql("DELETE FROM model_audit_logs")


def test_bytes_of_the_release_are_loaded(upgraded):
    for number in (1, 2, 4):
        weights = Weights.of({"w": np.full(4, number, np.float32)})
        key = f"models/digits/1.{number - 1}.0/{{digest}}.safetensors"
        save_weights(upgraded.storage, key, weights)
        loaded = upgraded.load(f"digits:1.{number - 1}.0")
        np.testing.assert_array_equal(loaded["w"], weights["w"])


def test_registering_goes_on(upgraded):
    (run,) = upgraded.runs()
    added = upgraded.register(
        {"w": np.full(4, 5, np.float32)},
        model="digits",
        run=run,
        facts=facts_of(5, "7"),
    )
    assert (added.version, added.parent_version) == ("1.4.0", "1.3.0")
    upgraded.record_metrics(
        run, 5, MetricSource.EVALUATE_SERVERAPP, {"accuracy": 0.9}, measured=added
    )
    assert upgraded.latest("digits").val_accuracy == 0.9
    assert upgraded.register(weights_of(1), model="new").version == "1.0.0"


def test_the_file_is_one_that_sqlite_finds_sound():
    for place in FOLDER.glob("*.sqlite"):
        with sqlite3.connect(f"file:{place}?mode=ro", uri=True) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def test_of_models_that_differ_by_case_the_older_has_the_name(tmp_path):
    place = tmp_path / "registry.db"
    shutil.copyfile(FOLDER / "schema_0004.sqlite", place)
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute(
            "INSERT INTO registered_models (name, created_at) VALUES "
            "('Digits', '2026-11-23 08:22:51'), ('LETTERS', '2026-11-23 08:22:51')"
        )
    upgrade_database(place)
    found = rows(
        f"sqlite:///{place}", "SELECT name, folded_name FROM registered_models"
    )
    assert dict(found) == {
        "digits": "digits",
        "other": "other",
        "Digits": None,
        "LETTERS": "letters",
    }
