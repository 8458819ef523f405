"""Registries on real databases: SQLite files, and a PostgreSQL server on loopback."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from registry.samples import weights_of
from sqlalchemy import NullPool, create_engine, event, text

from flwr_registry.records import ModelVersion, Run, RunProvenance
from flwr_registry.registry import ModelRegistry

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def generators_are_left_alone(untouched_generators: None) -> None:
    """Hold that no test of a registry draws from the generators that training uses."""


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server, without the name of a database."""
    programs = [_program("initdb"), _program("postgres")]
    if None in programs:
        pytest.skip("PostgreSQL is not installed (initdb and postgres are missing)")
    with _running_server(*map(str, programs)) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty registry, to be copied: faster than the migrations."""
    place = tmp_path_factory.mktemp("template") / "registry.db"
    ModelRegistry(place).close()
    return place


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """The name of a database with an empty registry, to be copied."""
    _create_database(postgresql_server, "template_registry", "template1")
    ModelRegistry(f"{postgresql_server}/template_registry").close()
    return "template_registry"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_database_url(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """A database that does not exist yet (SQLite) or has no tables (PostgreSQL)."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'database' / 'registry.db'}"
        return
    with _database(request.getfixturevalue("postgresql_server"), "template1") as url:
        yield url


@pytest.fixture
def database_url(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """A database with an empty registry."""
    if backend == "sqlite":
        place = tmp_path / "database" / "registry.db"
        place.parent.mkdir()
        shutil.copyfile(request.getfixturevalue("sqlite_template"), place)
        yield f"sqlite:///{place}"
        return
    template = request.getfixturevalue("postgresql_template")
    with _database(request.getfixturevalue("postgresql_server"), template) as url:
        yield url


@pytest.fixture
def registry(database_url: str, tmp_path: Path) -> Iterator[ModelRegistry]:
    with ModelRegistry(database_url, tmp_path / "weights") as opened:
        yield opened


@pytest.fixture
def sql(database_url: str) -> Callable[..., Rows]:
    """Run raw SQL beside the registry, committing it."""
    return lambda statement, **values: _execute(database_url, statement, **values)


@pytest.fixture
def start(registry: ModelRegistry) -> Callable[..., Run]:
    def started(name: str = "experiment", model: str = "digits") -> Run:
        return registry.start_run(RunProvenance(name, model))

    return started


@pytest.fixture
def add(registry: ModelRegistry) -> Callable[..., ModelVersion]:
    """Register weights of one value for the model digits."""

    def added(value: float, *, size: int = 4, **options: Any) -> ModelVersion:
        options = {"model": "digits", **options}
        return registry.register(weights_of(value, size), **options)

    return added


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"registry_{uuid.uuid4().hex}"
    _create_database(server, name, template)
    yield f"{server}/{name}"
    drop = f"DROP DATABASE {name} WITH (FORCE)"
    _execute(f"{server}/postgres", drop, autocommit=True)


def _create_database(server: str, name: str, template: str) -> None:
    create = f"CREATE DATABASE {name} TEMPLATE {template}"
    _execute(f"{server}/postgres", create, autocommit=True)


def _execute(
    url: str, statement: str, *, autocommit: bool = False, **values: Any
) -> Rows:
    engine = create_engine(url, poolclass=NullPool)
    if autocommit:
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    if engine.dialect.name == "sqlite":
        event.listen(
            engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=ON")
        )
    with engine.begin() as connection:
        result = connection.execute(text(statement), values)
        return [dict(row._mapping) for row in result] if result.returns_rows else []


def _program(name: str) -> str | None:
    found = shutil.which(name)
    installed = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return os.path.realpath(found) if found else next(reversed(installed), None)


@contextmanager
def _running_server(initdb: str, postgres: str) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    options: dict[str, Any] = {"cwd": folder, "env": _environment(folder)}
    if os.geteuid() == 0:
        # The server refuses to run as root.
        owner = pwd.getpwnam("nobody")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data, log = folder / "data", folder / "log"
    subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"],
        check=True,
        stdout=subprocess.DEVNULL,
        **options,
    )
    port = _free_port()
    command = [postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
    for setting in ("fsync=off", "full_page_writes=off"):
        command += ["-c", setting]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **options)
        try:
            _wait_until_ready(server, log)
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        finally:
            # Fast shutdown: it does not wait for clients.
            server.send_signal(2)
            server.wait(20)
    shutil.rmtree(folder)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(folder)}


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while "ready to accept connections" not in log.read_text():
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")
        time.sleep(0.02)
