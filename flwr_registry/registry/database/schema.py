"""The schema of a database: made or migrated, and checked when it is opened."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import partial

from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from flwr_registry.errors import (
    DatabaseError,
    DatabaseNotFoundError,
    SchemaVersionError,
)
from flwr_registry.file_modes import create_file, make_folder
from flwr_registry.registry.database.database import Database
from flwr_registry.registry.database.engines import is_postgresql
from flwr_registry.registry.database.locations import resolve_places
from flwr_registry.registry.database.migrations import HEAD, REVISIONS
from flwr_registry.registry.database.new_schema import create_schema
from flwr_registry.registry.rows.registry_db import metadata

__all__ = ["open_schema", "revision_of", "upgrade_database"]

_VERSION_TABLE = "alembic_version"
_LOCK = 0x666C7772_72656769
# Tables of many millions of rows are rewritten in one transaction.
_UPGRADE_SECONDS = 3600.0
# Alembic's context is a global of the process.
_migrating = threading.Lock()


def open_schema(database: Database, *, create: bool) -> None:
    """Make sure that the database has the schema of this release.

    Parameters
    ----------
    database : Database
        Where to look.
    create : bool
        Make the schema where there is none.

    Raises
    ------
    SchemaVersionError
        When the schema is older or newer, or the tables are another program's.
    DatabaseNotFoundError
        When there is no registry and `create` is false.
    DatabaseError
        When the database fails.
    """
    revision = _revision_or_missing(database)
    if revision == HEAD:
        return
    if revision is not None:
        raise _other_release(database.place, revision)
    if not create:
        raise DatabaseNotFoundError(
            f"there is no registry at {database.place}: point elsewhere with "
            "--registry URL or FLWR_REGISTRY_URL ('flwr-registry where' says what "
            "decides), or start a run that records into it"
        )
    _make_file(database)
    database.write(partial(_create, place=database.place))


def upgrade_database(url: str | os.PathLike[str] | None = None) -> tuple[str, str]:
    """Bring a database to the schema of this release.

    Parameters
    ----------
    url : str or path, optional
        As for `ModelRegistry`.

    Returns
    -------
    before, after : str
        Names of the schemas; equal when there was nothing to do.

    Raises
    ------
    SchemaVersionError
        When the database belongs to a newer release.
    DatabaseError
        When there is none, or it fails.
    """
    database = Database(resolve_places(url).database)
    try:
        return _upgraded(database)
    finally:
        database.close()


def revision_of(session: Session) -> str | None:
    """Return the revision that the database says it has; None without one."""
    if not inspect(session.connection()).has_table(_VERSION_TABLE):
        return None
    found: Sequence[str] = (
        session.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}"))
        .scalars()
        .all()
    )
    return found[0] if found else None


def _upgraded(database: Database) -> tuple[str, str]:
    if _revision_or_missing(database) is None:
        raise DatabaseNotFoundError(
            f"there is no registry at {database.place} to upgrade"
        )
    # What takes a while to import must not count as the database's time.
    import alembic.command  # noqa: F401

    before = database.write(
        partial(_upgrade, place=database.place), timeout_seconds=_UPGRADE_SECONDS
    )
    return before, HEAD


def _create(session: Session, *, place: str) -> None:
    _lock(session)
    revision = revision_of(session)
    if revision is None:
        _refuse_foreign_tables(session, place)
        create_schema(session)
    elif revision != HEAD:
        raise _other_release(place, revision)


def _upgrade(session: Session, *, place: str) -> str:
    _lock(session)
    before = revision_of(session)
    if before not in REVISIONS:
        raise _other_release(place, str(before))
    if before != HEAD:
        _migrate(session)
    return before


def _revision_or_missing(database: Database) -> str | None:
    if database.file is not None and not database.file.exists():
        return None
    return database.read(revision_of)


def _make_file(database: Database) -> None:
    if database.file is None:
        return
    try:
        for folder in reversed([database.file, *database.file.parents][1:]):
            if not folder.exists():
                make_folder(folder)
        # SQLite makes its journals with the access that the database has.
        os.close(create_file(database.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    except OSError as error:
        raise DatabaseError(
            f"the database {database.place} cannot be created ({error.strerror}): "
            "choose a folder that this user may write to"
        ) from error


def _lock(session: Session) -> None:
    """Let one process at a time change the schema; SQLite's transaction does so."""
    if is_postgresql(session):
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _refuse_foreign_tables(session: Session, place: str) -> None:
    ours = metadata.tables.keys()
    taken = sorted(ours & set(inspect(session.connection()).get_table_names()))
    if taken:
        raise SchemaVersionError(
            f"the database {place} has tables of another program "
            f"({', '.join(taken)}): choose another database"
        )


def _migrate(session: Session) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", "flwr_registry.registry.database:migrations"
    )
    config.attributes["connection"] = session.connection()
    with _migrating:
        command.upgrade(config, HEAD)


def _other_release(place: str, revision: str) -> SchemaVersionError:
    if revision in REVISIONS:
        return SchemaVersionError(
            f"the database {place} was made by an older release (schema {revision}, "
            f"this release needs {HEAD}): back it up, then run "
            f"`flwr-registry database upgrade --registry {place}`"
        )
    return SchemaVersionError(
        f"the database {place} has schema {revision}, which this release does not know "
        f"(it knows up to {HEAD}): upgrade flwr-registry, or choose another database"
    )
