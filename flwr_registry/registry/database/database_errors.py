"""Foreign database errors, turned into this package's in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from flwr_registry.errors import DatabaseError

__all__ = ["driver_needed", "translated"]

# By the beginning of SQLite's own name of the error.
_SQLITE_ADVICE = {
    "SQLITE_BUSY": (
        "is locked: another process has been writing for longer than the lock timeout; "
        "try again, or raise lock_timeout_seconds"
    ),
    "SQLITE_LOCKED": "is locked by another connection; try again",
    "SQLITE_READONLY": (
        "is read-only: give this user the right to write to the file and its folder"
    ),
    "SQLITE_PERM": "may not be opened: give this user the right to read and write it",
    "SQLITE_CANTOPEN": (
        "cannot be opened: check that the file is there and that this user may read "
        "and write it and its folder"
    ),
    "SQLITE_NOTADB": (
        "is no SQLite database: another file lies there, so choose another path"
    ),
    "SQLITE_CORRUPT": "is damaged: restore it from a backup",
    "SQLITE_FULL": "cannot grow, because the disk is full: free some space",
    "SQLITE_IOERR": "cannot be read or written: check the disk and its free space",
}
# By PostgreSQL's SQLSTATE.
_POSTGRESQL_ADVICE = {
    "55P03": (
        "is locked: another process has been writing for longer than the lock timeout; "
        "try again, or raise lock_timeout_seconds"
    ),
    "25006": "is read-only: connect to the primary server",
    "42501": "refuses: grant this role the rights to create and change tables",
    "53100": "cannot grow, because its disk is full: free some space",
    "28P01": "refuses the password: correct it in the URL",
    "3D000": "does not exist: create it with createdb",
}


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise `DatabaseError` for what a driver or SQLAlchemy raises.

    Parameters
    ----------
    place : str
        The database, without password, for the message.
    """
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(f"the database {place} {_reason(error)}") from error
    except NoSuchModuleError as error:
        raise DatabaseError(f"the database {place} needs a driver: {error}") from error
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database {place} failed: {error}") from error


@contextmanager
def driver_needed(place: str) -> Iterator[None]:
    """Raise `DatabaseError` where the driver of a database is not installed."""
    try:
        with translated(place):
            yield
    except ImportError as error:
        raise DatabaseError(
            f"the driver for {place} is missing: pip install 'flwr-registry[postgres]'"
        ) from error


def _reason(error: DBAPIError) -> str:
    original = error.orig
    name = getattr(original, "sqlite_errorname", None)
    if name:
        for beginning, advice in _SQLITE_ADVICE.items():
            if name.startswith(beginning):
                return advice
    state = getattr(original, "sqlstate", None)
    if state in _POSTGRESQL_ADVICE:
        return _POSTGRESQL_ADVICE[state]
    text = " ".join(str(original).split())
    if error.connection_invalidated or (state is None and name is None):
        return f"cannot be reached: check the server, the network and the URL ({text})"
    return f"refused: {text}"
