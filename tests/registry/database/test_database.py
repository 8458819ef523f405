"""Transactions, and foreign errors turned into ours."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from registry.samples import weights_of
from sqlalchemy import make_url, text

import flwr_registry
from flwr_registry.errors import DatabaseError
from flwr_registry.records import RunProvenance
from flwr_registry.registry import ModelRegistry
from flwr_registry.registry.database.database import Database
from flwr_registry.registry.database.engines import place_of

SOURCE = str(Path(flwr_registry.__file__).parents[1])


@pytest.fixture
def place(tmp_path):
    found = tmp_path / "registry.db"
    ModelRegistry(found).close()
    return found


@pytest.fixture
def database(place):
    return Database(make_url(f"sqlite:///{place}"), lock_timeout_seconds=0.1)


def value(database, statement):
    return database.read(lambda session: session.execute(text(statement)).scalar_one())


def test_sqlite_is_durable_and_strict(database):
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    pragmas = {name: value(database, f"PRAGMA {name}") for name in names}
    assert pragmas == {
        "journal_mode": "truncate",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 100,
    }


def test_a_write_ahead_log_that_was_chosen_stays(place, database):
    with sqlite3.connect(place) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert value(database, "PRAGMA journal_mode") == "wal"


def test_writers_lock_at_once_and_readers_do_not(database):
    def read_beside(_session):
        return value(database, "SELECT count(*) FROM runs")

    def write_beside(_session):
        database.write(lambda _: pytest.fail("two writers at once"))

    assert database.write(read_beside) == 0
    with pytest.raises(DatabaseError, match="lock_timeout_seconds"):
        database.write(write_beside)


def test_an_error_in_a_write_undoes_it(database):
    def fail_after_writing(session):
        session.execute(
            text(
                "INSERT INTO registered_models (name, created_at) "
                "VALUES ('m', '2026-01-01')"
            )
        )
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(fail_after_writing)
    assert value(database, "SELECT count(*) FROM registered_models") == 0


def test_a_registry_that_was_deleted_does_not_come_back_empty(place):
    with ModelRegistry(place) as opened:
        place.unlink()
        with pytest.raises(DatabaseError, match="cannot be opened"):
            opened.models()
    assert not place.exists()


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    place = tmp_path / "notes.txt"
    place.write_text("dear diary, " * 100)
    with pytest.raises(DatabaseError, match="no SQLite database") as raised:
        ModelRegistry(place)
    assert str(place) in str(raised.value)
    assert raised.value.__cause__ is not None
    assert place.read_text() == "dear diary, " * 100


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(DatabaseError, match="cannot be"):
        ModelRegistry(tmp_path)


def test_a_place_below_a_file_cannot_be_created(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be created"):
        ModelRegistry(tmp_path / "file" / "registry.db")


def test_a_damaged_database_is_named(place):
    with ModelRegistry(place) as opened:
        opened.register(weights_of(1), model="digits")
        pages = bytearray(place.read_bytes())
        pages[4096:] = b"\xff" * (len(pages) - 4096)
        place.write_bytes(pages)
        with pytest.raises(DatabaseError, match=r"damaged|failed|refused"):
            opened.latest("digits")


@pytest.mark.slow
def test_a_read_only_database_can_be_read_and_says_why_it_cannot_be_written():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    with ModelRegistry(folder / "registry.db") as opened:
        opened.register(weights_of(1), model="digits")
    (folder / "registry.db").chmod(0o444)
    folder.chmod(0o555)
    code = """
import os, sys
from flwr_registry.errors import DatabaseError
from flwr_registry.records import RunProvenance
from flwr_registry.registry import ModelRegistry
ModelRegistry(sys.argv[1]).close()
if os.geteuid() == 0:
    # To root nothing is read-only.
    os.seteuid(65534)
with ModelRegistry(sys.argv[1]) as opened:
    print(opened.latest("digits").version)
    try:
        opened.start_run(RunProvenance("r", "digits"))
    except DatabaseError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "registry.db")],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
    )
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert done.stderr == ""
    version, error = done.stdout.splitlines()
    assert version == "1.0.0"
    assert "is read-only" in error


@pytest.mark.slow
def test_a_full_disk_is_named_and_leaves_the_database_sound(place):
    code = """
import sys, resource, signal
from flwr_registry.errors import DatabaseError
from flwr_registry.records import RunProvenance
from flwr_registry.registry import ModelRegistry
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with ModelRegistry(sys.argv[1]) as opened:
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        while True:
            opened.start_run(RunProvenance("r", "digits", app_id="x" * 5000))
    except DatabaseError as error:
        print(error)
"""
    size = place.stat().st_size
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", code, str(place), str(size + 20_000)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
    )
    assert "disk" in done.stdout, done.stderr
    with ModelRegistry(place) as opened:
        before = len(opened.runs())
        opened.start_run(RunProvenance("r", "digits"))
        assert len(opened.runs()) == before + 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://flora:sesame@127.0.0.1:1/d",
        "postgresql://flora@127.0.0.1:1/d?password=sesame",
        "postgresql+asyncpg://flora:sesame@127.0.0.1:1/d",
    ],
)
def test_a_password_is_never_told(url):
    with pytest.raises(DatabaseError, match="cannot be reached") as raised:
        ModelRegistry(url)
    assert "sesame" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    assert "sesame" not in place_of(make_url(url))


@pytest.mark.slow
def test_an_open_registry_does_not_keep_the_process_alive(database_url, tmp_path):
    code = (
        "import sys; from flwr_registry.registry import ModelRegistry; "
        "opened = ModelRegistry(sys.argv[1], sys.argv[2]); print(opened.models())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, database_url, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


@pytest.mark.slow
def test_a_forked_process_takes_no_connection_of_its_parent(postgresql_server):
    database = Database(make_url(f"{postgresql_server}/postgres"))

    def server_process():
        return value(database, "SELECT pg_backend_pid()")

    own = server_process()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if server_process() != own else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert server_process() == own
    database.close()


def test_a_registry_goes_on_after_a_fork(registry, add):
    add(1)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if registry.latest("digits").version == "1.0.0" else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert add(2).version == "1.1.0"
