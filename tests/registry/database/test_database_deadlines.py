"""No database holds its caller for longer than it may, wherever it stops answering."""

import asyncio
import time
from contextlib import contextmanager

import pytest
from registry.database.postgres_faults import Mode, frozen_server, postgres_proxy
from sqlalchemy import make_url, text

from flwr_registry.errors import DatabaseError, DatabaseTimeoutError
from flwr_registry.registry.database.async_database import AsyncDatabase
from flwr_registry.registry.database.database import Database

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 1.0
MARGIN_SECONDS = 5.0
INSERT = text("INSERT INTO registered_models (name, created_at) VALUES (:name, now())")


class Awaited:
    """An `AsyncDatabase`, used as if it blocked."""

    def __init__(self, url, **options):
        self._runner = asyncio.Runner()
        self._database = AsyncDatabase(url, **options)

    def read(self, work):
        return self._runner.run(self._database.read(work))

    def write(self, work):
        return self._runner.run(self._database.write(work))

    def close(self):
        self._runner.run(self._database.close())

    def end(self):
        self.close()
        self._runner.close()


class Blocking(Database):
    def end(self):
        self.close()


@pytest.fixture
def backend():
    return "postgresql"


@pytest.fixture
def proxied(database_url):
    with postgres_proxy(database_url) as found:
        yield found


@pytest.fixture
def proxy(proxied):
    return proxied[0]


@pytest.fixture(params=[Blocking, Awaited])
def database(request, proxied):
    opened = request.param(make_url(proxied[1]), timeout_seconds=TIMEOUT_SECONDS)
    yield opened
    opened.end()


@contextmanager
def in_time():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < TIMEOUT_SECONDS + MARGIN_SECONDS


@contextmanager
def fails_in_time(mode):
    error = DatabaseTimeoutError if mode is Mode.STALL else DatabaseError
    with in_time(), pytest.raises(error) as raised:
        yield raised
    assert "127.0.0.1" in str(raised.value)


def count(session):
    return session.execute(text("SELECT count(*) FROM registered_models")).scalar_one()


def insert(session, name="m"):
    session.execute(INSERT, {"name": name})


def works_again(proxy, database):
    proxy.mode = Mode.PASS
    before = database.read(count)
    database.write(lambda session: insert(session, "again"))
    return database.read(count) == before + 1


every_fault = pytest.mark.parametrize("fault", [Mode.STALL, Mode.CUT, Mode.REFUSE])


@every_fault
def test_connecting(proxy, database, fault):
    proxy.mode = fault
    with fails_in_time(fault):
        database.read(count)
    assert works_again(proxy, database)


@every_fault
def test_an_idle_connection(proxy, database, fault):
    database.read(count)
    proxy.mode = fault
    with fails_in_time(fault):
        database.read(count)
    assert works_again(proxy, database)


@pytest.mark.parametrize("fault", [Mode.STALL, Mode.CUT])
def test_an_idle_connection_that_died_is_replaced(proxy, database, fault):
    database.read(count)
    proxy.mode = fault
    proxy.mode = Mode.PASS
    with in_time():
        assert database.read(count) == 0


@every_fault
def test_the_first_statement(proxy, database, fault):
    proxy.change_at(b"count(*)", fault)
    with fails_in_time(fault):
        database.read(count)
    assert works_again(proxy, database)


@every_fault
def test_between_two_statements(proxy, database, fault):
    def insert_twice(session):
        insert(session, "first")
        proxy.mode = fault
        insert(session, "second")

    with fails_in_time(fault) as raised:
        database.write(insert_twice)
    assert not raised.value.may_have_committed
    assert works_again(proxy, database)
    assert database.read(count) == 1


@every_fault
def test_a_commit_that_does_not_arrive(proxy, database, fault):
    proxy.change_at(b"COMMIT", fault)
    with fails_in_time(fault) as raised:
        database.write(insert)
    assert raised.value.may_have_committed
    assert "may be there" in str(raised.value)
    assert works_again(proxy, database)
    assert database.read(count) == 1


@every_fault
def test_a_commit_whose_answer_is_lost(proxy, database, fault):
    proxy.change_at(b"COMMIT", fault, answer_only=True)
    with fails_in_time(fault) as raised:
        database.write(insert)
    assert raised.value.may_have_committed
    assert works_again(proxy, database)
    assert database.read(count) == 2


def test_the_end_of_a_read_leaves_nothing_in_doubt(proxy, database):
    proxy.change_at(b"COMMIT", Mode.STALL)
    with fails_in_time(Mode.STALL) as raised:
        database.read(count)
    assert not raised.value.may_have_committed


@every_fault
def test_a_rollback(proxy, database, fault):
    def fail(session):
        insert(session)
        proxy.change_at(b"ROLLBACK", fault)
        raise ZeroDivisionError

    # What the work raised, where it can still be told.
    with in_time(), pytest.raises((DatabaseTimeoutError, ZeroDivisionError)):
        database.write(fail)
    assert works_again(proxy, database)
    assert database.read(count) == 1


@every_fault
def test_closing(proxy, database, fault):
    database.read(count)
    proxy.mode = fault
    with in_time():
        database.close()
    assert works_again(proxy, database)


def test_work_that_takes_too_long_is_undone(proxy, database):
    def dawdle(session):
        insert(session)
        time.sleep(TIMEOUT_SECONDS + 0.3)

    with fails_in_time(Mode.STALL):
        database.write(dawdle)
    time.sleep(0.5)
    assert works_again(proxy, database)
    assert database.read(count) == 1


@pytest.mark.parametrize("is_connected", [False, True])
def test_a_frozen_server(proxy, database, database_url, is_connected):
    if is_connected:
        database.read(count)
    with frozen_server(database_url):
        for attempt in (lambda: database.read(count), lambda: database.write(insert)):
            with fails_in_time(Mode.STALL):
                attempt()
        with in_time():
            database.close()
    assert works_again(proxy, database)


def test_a_server_that_freezes_in_a_transaction(proxy, database, database_url):
    def insert_when_frozen(session):
        insert(session, "first")
        with frozen_server(database_url):
            insert(session, "second")

    with fails_in_time(Mode.STALL):
        database.write(insert_when_frozen)
    assert works_again(proxy, database)
    assert database.read(count) == 1


def test_an_error_of_the_work_is_not_taken_for_the_databases(proxied):
    def fail(_session):
        raise FileNotFoundError("a file of the work")

    opened = Blocking(make_url(proxied[1]))
    with pytest.raises(FileNotFoundError):
        opened.read(fail)
    opened.end()


def test_no_limit_is_a_long_one(proxied):
    opened = Blocking(make_url(proxied[1]), timeout_seconds=float("inf"))
    assert opened.read(count) == 0
    opened.write(insert)
    opened.end()
