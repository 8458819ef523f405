"""Foreign database errors, turned into this package's in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from flwr_registry.errors import DatabaseError, DatabaseTimeoutError
from flwr_registry.extras import how_to_install
from flwr_registry.registry.database.transactions import Transaction

__all__ = ["driver_needed", "sockets_translated", "timed_out", "translated"]

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
# Its statement_timeout and idle_in_transaction_session_timeout, which we set.
_POSTGRESQL_TIMEOUTS = ("57014", "25P03")
# The classes of SQLSTATE that say that the connection ended.
_POSTGRESQL_ENDS = ("08", "57P")
_IN_DOUBT = (
    "; the commit had been sent, so what was to be written may be there: look before "
    "you repeat it"
)


@contextmanager
def translated(
    place: str, timeout_seconds: float, transaction: Transaction | None = None
) -> Iterator[None]:
    """Raise `DatabaseError` for what a driver or SQLAlchemy raises.

    Parameters
    ----------
    place : str
        The database, without password, for the message.
    timeout_seconds : float
        How long what is done may take in all, for the message.
    transaction : Transaction, optional
        Tells whether a commit was under way when the connection broke.
    """
    try:
        yield
    except DBAPIError as error:
        in_doubt = (
            transaction is not None
            and transaction.may_have_committed
            and _ended_connection(error)
        )
        if _state_of(error) in _POSTGRESQL_TIMEOUTS:
            raise timed_out(place, timeout_seconds, in_doubt) from error
        raise DatabaseError(
            f"the database {place} {_reason(error)}{_IN_DOUBT if in_doubt else ''}",
            may_have_committed=in_doubt,
        ) from error
    except NoSuchModuleError as error:
        raise DatabaseError(f"the database {place} needs a driver: {error}") from error
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database {place} failed: {error}") from error


@contextmanager
def sockets_translated(
    place: str, timeout_seconds: float, transaction: Transaction
) -> Iterator[None]:
    """Raise `DatabaseError` for what asyncpg lets through from its sockets.

    Parameters as for `translated`.
    """
    try:
        yield
    except TimeoutError as error:
        raise timed_out(
            place, timeout_seconds, transaction.may_have_committed
        ) from error
    except OSError as error:
        in_doubt = transaction.may_have_committed
        raise DatabaseError(
            f"the database {place} cannot be reached: check the server, the network "
            f"and the URL ({error}){_IN_DOUBT if in_doubt else ''}",
            may_have_committed=in_doubt,
        ) from error


def timed_out(
    place: str, timeout_seconds: float, in_doubt: bool = False, why: str = ""
) -> DatabaseTimeoutError:
    """Return the error of a database that did not answer in time."""
    return DatabaseTimeoutError(
        f"the database {place} did not answer within {timeout_seconds:g} s"
        f"{f' ({why})' if why else ''}: check its server or disk and the network, or "
        "raise timeout_seconds if it is sound and only slow"
        f"{_IN_DOUBT if in_doubt else ''}",
        timeout_seconds=timeout_seconds,
        may_have_committed=in_doubt,
    )


@contextmanager
def driver_needed(place: str) -> Iterator[None]:
    """Raise `DatabaseError` where the driver of a database is not installed."""
    try:
        with translated(place, 0):
            yield
    except ImportError as error:
        raise DatabaseError(
            f"the driver for {place} is missing: {how_to_install('postgres')}"
        ) from error


def _reason(error: DBAPIError) -> str:
    original = error.orig
    name = getattr(original, "sqlite_errorname", None)
    if name:
        for beginning, advice in _SQLITE_ADVICE.items():
            if name.startswith(beginning):
                return advice
    state = _state_of(error)
    if state in _POSTGRESQL_ADVICE:
        return _POSTGRESQL_ADVICE[state]
    text = " ".join(str(original).split())
    if error.connection_invalidated or _ended_connection(error):
        return f"cannot be reached: check the server, the network and the URL ({text})"
    return f"refused: {text}"


def _state_of(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _ended_connection(error: DBAPIError) -> bool:
    """Whether a server's connection ended, so that nothing tells what it did."""
    if getattr(error.orig, "sqlite_errorname", None):
        return False
    state = _state_of(error)
    return state is None or state.startswith(_POSTGRESQL_ENDS)
