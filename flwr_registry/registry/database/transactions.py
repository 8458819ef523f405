"""One transaction, which another thread may give up while a driver waits."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

__all__ = ["Transaction", "current_transaction", "transact"]

Result = TypeVar("Result")

_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Transaction:
    """What is known of a transaction under way, from its connection to its end.

    Parameters
    ----------
    driver : str
        SQLAlchemy's name of the driver.
    writes : bool
        Whether it may change anything.

    Attributes
    ----------
    is_given_up : bool
        Nobody waits for it any more: it must not commit.
    may_have_committed : bool
        A commit that changes something was begun, and not answered.
    """

    def __init__(self, driver: str, *, writes: bool) -> None:
        self._break_off = _BREAK_OFF[driver]
        self._writes = writes
        self._connection: Any = None
        self._is_pinging = False
        self._lock = threading.Lock()
        self.is_given_up = False
        self.may_have_committed = False

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Make it the current transaction of this thread or task."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)

    def hold(self, connection: object) -> None:
        """Note the driver's connection that it runs on."""
        with self._lock:
            self._connection = connection
            self._refuse_if_given_up()

    @contextmanager
    def ping(self) -> Iterator[None]:
        """Find out whether a connection that was idle still answers."""
        self._is_pinging = True
        try:
            yield
        finally:
            with self._lock:
                self._is_pinging = False
                self._refuse_if_given_up()

    def begin_commit(self) -> None:
        """Note that from here on its end is known only from the answer."""
        with self._lock:
            self._refuse_if_given_up()
            self.may_have_committed = self._writes

    def end_commit(self) -> None:
        """Note that the commit was answered."""
        self.may_have_committed = False

    @property
    def has_connection(self) -> bool:
        """Whether it runs on a connection by now."""
        return self._connection is not None

    def release(self) -> None:
        """Note that the connection goes back into the pool, for others."""
        with self._lock:
            self._connection = None

    def give_up(self) -> None:
        """Break off what its driver waits for; it can no longer commit."""
        with self._lock:
            self.is_given_up = True
            self._end_connection()

    def give_up_before_commit(self) -> None:
        """Give it up, unless its commit has begun: that is waited for."""
        with self._lock:
            if not self.may_have_committed:
                self.is_given_up = True
                self._end_connection()

    def give_up_ping(self) -> None:
        """Break off a ping that takes too long, so that a new connection is tried."""
        with self._lock:
            if self._is_pinging:
                self._end_connection()

    def _end_connection(self) -> None:
        if self._connection is not None:
            # What was closed meanwhile needs no ending.
            with suppress(Exception):
                self._break_off(self._connection)

    def _refuse_if_given_up(self) -> None:
        if self.is_given_up:
            raise _GivenUp


class _GivenUp(Exception):
    """Nobody sees it: the caller has gone on."""


def current_transaction() -> Transaction | None:
    """Return the transaction that this thread or task works for."""
    return _current.get()


def transact(
    session: Session, work: Callable[[Session], Result], transaction: Transaction
) -> Result:
    """Return what `work` returns, once all that it did is committed."""
    try:
        result = work(session)
        session.flush()
        transaction.begin_commit()
        session.commit()
    except BaseException:
        if transaction.is_given_up:
            # Never back into the pool.
            session.invalidate()
        else:
            # What the work raised tells more than a connection that broke afterwards.
            with suppress(SQLAlchemyError, OSError):
                session.rollback()
        raise
    transaction.end_commit()
    return result


def _interrupt_sqlite(connection: Any) -> None:
    connection.interrupt()


def _interrupt_aiosqlite(connection: Any) -> None:
    # A coroutine that waits for nothing.
    with suppress(StopIteration):
        connection.interrupt().send(None)


def _shut_down_psycopg(connection: Any) -> None:
    descriptor = connection.pgconn.socket
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        # The number is that of another file if the connection was closed meanwhile.
        if connection.pgconn.socket == descriptor:
            duplicate.shutdown(socket.SHUT_RDWR)


def _terminate_asyncpg(connection: Any) -> None:
    connection.terminate()


_BREAK_OFF: dict[str, Callable[[Any], None]] = {
    "pysqlite": _interrupt_sqlite,
    "aiosqlite": _interrupt_aiosqlite,
    "psycopg": _shut_down_psycopg,
    "asyncpg": _terminate_asyncpg,
}
