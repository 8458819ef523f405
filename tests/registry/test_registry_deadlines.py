"""A registry whose database stops answering: every verb ends, and it works again."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from registry.database.postgres_faults import Mode, frozen_server, postgres_proxy
from registry.samples import weights_of
from sqlalchemy import text

from flwr_registry.errors import DatabaseError, DatabaseTimeoutError
from flwr_registry.records import RoundFacts, RunProvenance
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 1.0
MARGIN_SECONDS = 5.0
ENDLESS = text(
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) "
    "SELECT count(*) FROM numbers"
)


class Awaited:
    """An `AsyncModelRegistry`, used as if it blocked."""

    def __init__(self, *places, **options):
        self._runner = asyncio.Runner()
        self._opened = AsyncModelRegistry(*places, **options)
        try:
            self._runner.run(self._opened.__aenter__())
        except DatabaseError:
            self._runner.close()
            raise

    def __getattr__(self, verb):
        return lambda *values, **options: self._runner.run(
            getattr(self._opened, verb)(*values, **options)
        )

    def transact(self, kind, work):
        return self._runner.run(getattr(self._opened._database, kind)(work))

    def end(self):
        self.close()
        self._runner.close()


class Blocking(ModelRegistry):
    def transact(self, kind, work):
        return getattr(self._database, kind)(work)

    def end(self):
        self.close()


@pytest.fixture(params=[Blocking, Awaited])
def kind(request):
    return request.param


@contextmanager
def in_time(seconds=TIMEOUT_SECONDS):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + MARGIN_SECONDS


@contextmanager
def times_out():
    with in_time(), pytest.raises(DatabaseTimeoutError, match="within 1 s") as raised:
        yield raised
    assert raised.value.timeout_seconds == TIMEOUT_SECONDS


@contextmanager
def opened(kind, *places, **options):
    registry = kind(*places, **{"timeout_seconds": TIMEOUT_SECONDS, **options})
    yield registry
    registry.end()


class TestServer:
    @pytest.fixture
    def backend(self):
        return "postgresql"

    def test_verbs_end_while_it_is_frozen_and_work_afterwards(
        self, kind, database_url, tmp_path
    ):
        with opened(kind, database_url, tmp_path) as registry:
            first = registry.register(weights_of(1), model="digits")
            with frozen_server(database_url):
                with times_out():
                    registry.latest("digits")
                with times_out():
                    registry.register(weights_of(2), model="digits")
            assert registry.latest("digits") == first
            assert registry.register(weights_of(2), model="digits").version == "1.1.0"

    def test_opening_ends_too(self, kind, database_url, tmp_path):
        with (
            frozen_server(database_url),
            times_out(),
            opened(kind, database_url, tmp_path),
        ):
            pytest.fail("opened without an answer")

    @pytest.mark.parametrize(
        "kind, choice",
        [
            (Blocking, "load_balance_hosts=random"),
            (Awaited, "target_session_attrs=prefer-standby"),
        ],
        indirect=["kind"],
    )
    def test_a_choice_among_hosts_is_drawn_from_no_global_generator(
        self, kind, choice, database_url, tmp_path
    ):
        server, _, name = database_url.rpartition("/")
        host = server.rpartition("@")[2]
        several = f"postgresql://postgres@/{name}?host={host}&host={host}&{choice}"
        with opened(kind, several, tmp_path, timeout_seconds=20) as registry:
            assert registry.models() == []

    def test_a_version_in_doubt_is_registered_once(self, kind, database_url, tmp_path):
        with (
            postgres_proxy(database_url) as (proxy, url),
            opened(kind, url, tmp_path) as registry,
        ):
            run = registry.start_run(RunProvenance("trial", "digits"))

            def register(server_round=2):
                return registry.register(
                    weights_of(server_round),
                    model="digits",
                    run=run,
                    facts=RoundFacts(server_round=server_round),
                )

            # With the first bytes comes more than a version.
            first = register(1)

            # The first is of the number, the second of the row.
            proxy.change_at(b"COMMIT", Mode.STALL, answer_only=True, time=2)
            with times_out() as raised:
                register()
            assert raised.value.may_have_committed
            proxy.mode = Mode.PASS
            version = register()
            found = [each.id for each in registry.list("digits")]
            assert found == [version.id, first.id]

    def test_a_cancelled_verb_ends_too(self, database_url, tmp_path):
        async def work():
            async with AsyncModelRegistry(
                database_url, tmp_path, timeout_seconds=TIMEOUT_SECONDS
            ) as registry:
                await registry.models()
                with frozen_server(database_url):
                    verb = asyncio.create_task(registry.models())
                    await asyncio.sleep(0.1)
                    verb.cancel()
                    with in_time(), pytest.raises(asyncio.CancelledError):
                        await verb
                return await registry.models()

        assert asyncio.run(work()) == []

    @pytest.mark.usefixtures("heeded_interrupts")
    def test_an_interrupt_is_heard_while_it_is_frozen(self, database_url, tmp_path):
        with opened(Blocking, database_url, tmp_path, timeout_seconds=60) as registry:
            registry.models()
            with frozen_server(database_url):
                interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
                threading.Timer(0.5, interrupt).start()
                with in_time(), pytest.raises(KeyboardInterrupt):
                    registry.models()
            assert registry.models() == []

    def test_a_client_that_stops_holds_no_lock(self, database_url, tmp_path, sql):
        code = """
import sys, time
from sqlalchemy import make_url, text
from flwr_registry.registry.database.database import Database
def hold(session):
    session.execute(text("LOCK TABLE registered_models"))
    print("held", flush=True)
    time.sleep(60)
Database(make_url(sys.argv[1]), timeout_seconds=1).write(hold)
"""
        client = subprocess.Popen(
            [sys.executable, "-c", code, database_url], stdout=subprocess.PIPE
        )
        try:
            assert client.stdout.readline() == b"held\n"
            client.send_signal(signal.SIGSTOP)
            with opened(Blocking, database_url, tmp_path, timeout_seconds=20) as other:
                assert other.register(weights_of(1), model="digits").version == "1.0.0"
        finally:
            client.kill()
            client.communicate()


class TestFile:
    @pytest.fixture
    def backend(self):
        return "sqlite"

    def test_a_writer_that_stays_longer_than_the_lock_timeout(
        self, kind, database_url, tmp_path, registry
    ):
        with opened(kind, database_url, tmp_path, lock_timeout_seconds=0.1) as other:

            def register_beside(_session):
                with in_time(), pytest.raises(DatabaseError, match="lock_timeout"):
                    other.register(weights_of(1), model="digits")

            registry._database.write(register_beside)
            assert other.register(weights_of(1), model="digits").version == "1.0.0"

    def test_a_writer_that_stays_longer_than_the_deadline(
        self, kind, database_url, tmp_path, registry
    ):
        with opened(kind, database_url, tmp_path, lock_timeout_seconds=3) as other:

            def register_beside(_session):
                with times_out() as raised:
                    other.register(weights_of(1), model="digits")
                assert not raised.value.may_have_committed

            registry._database.write(register_beside)
            time.sleep(1)
            assert registry.models() == []

    def test_a_statement_without_end(self, kind, database_url, tmp_path):
        with opened(kind, database_url, tmp_path) as registry:
            with times_out():
                registry.transact("read", lambda session: session.execute(ENDLESS))
            assert registry.models() == []

    def test_what_cannot_be_interrupted_is_left_and_never_commits(
        self, kind, database_url, tmp_path
    ):
        disk_is_back, was_undone = threading.Event(), threading.Event()

        def write_to_a_dead_disk(session):
            session.execute(
                text(
                    "INSERT INTO registered_models (name, created_at) "
                    "VALUES ('m', '2026-01-01')"
                )
            )
            connection = session.connection().connection.dbapi_connection
            connection.create_function("stall", 0, disk_is_back.wait)
            try:
                session.execute(text("SELECT stall()"))
            finally:
                was_undone.set()

        with opened(kind, database_url, tmp_path) as registry:
            with times_out():
                registry.transact("write", write_to_a_dead_disk)
            disk_is_back.set()
            with in_time():
                while not was_undone.wait(0.05):
                    # An event loop goes on only while something is awaited.
                    registry.models()
            assert registry.models() == []


def test_the_timeout_is_part_of_a_pickled_registry(database_url, tmp_path):
    for kind in (ModelRegistry, AsyncModelRegistry):
        first = kind(database_url, tmp_path, timeout_seconds=7)
        again = pickle.loads(pickle.dumps(first))
        assert again._timeout_seconds == 7
        for each in (first, again):
            closing = each.close()
            if closing is not None:
                asyncio.run(closing)


@pytest.mark.parametrize("give", [str, LocalStorageBackend])
def test_the_timeout_is_that_of_the_storage_too(database_url, tmp_path, give):
    with ModelRegistry(database_url, give(tmp_path), timeout_seconds=7) as opened:
        assert opened.storage.timeout_seconds == 7
        with pickle.loads(pickle.dumps(opened)) as again:
            assert again.storage.timeout_seconds == 7


def test_a_timeout_of_nothing_is_refused(database_url, tmp_path):
    with pytest.raises(ValueError, match="timeout_seconds"):
        ModelRegistry(database_url, tmp_path, timeout_seconds=0)
