"""Real S3 and PostgreSQL servers stall, refuse or fail during a training."""

import time
from uuid import uuid4

import pytest
from federation.catalogue import find
from federation.outcome import Play, play
from registry.conftest import postgresql_server, postgresql_template  # noqa: F401
from registry.database.postgres_faults import Mode, postgres_proxy
from sqlalchemy import NullPool, create_engine, text
from storage.faulty_proxy import Fault, faulty_proxy
from storage.s3_servers import CREDENTIALS

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.storage import S3StorageBackend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROUNDS = 5
MOST_SECONDS = 60  # a deadline of 2 s, then a second a round, on a busy machine
EACH_WAY = pytest.mark.parametrize(
    ("api", "durability", "from_round"),
    [("message", "background", 1), ("message", "sync", 3), ("legacy", "background", 3)],
)
DIAGONAL = pytest.mark.parametrize(
    ("api", "durability"), [("message", "sync"), ("legacy", "background")]
)


@pytest.fixture(scope="module")
def bare():
    return {
        api: play(find(f"{api}-FedAdam"), Play(rounds=ROUNDS))
        for api in ("message", "legacy")
    }


def run(api, before_round, **options):
    """Run five rounds, with something done before each; say how long it took."""

    def wrap(strategy):
        inner = type(strategy)

        class Watched(inner):
            def configure_train(self, server_round, *args):
                before_round(server_round)
                return super().configure_train(server_round, *args)

            def configure_fit(self, server_round, *args):
                before_round(server_round)
                return super().configure_fit(server_round, *args)

        strategy.__class__ = Watched
        return RegistryStrategy(
            strategy, model="digits", run="trial", timeout_seconds=2, **options
        )

    began = time.monotonic()
    outcome = play(find(f"{api}-FedAdam"), Play(wrap=wrap, rounds=ROUNDS))
    return outcome, time.monotonic() - began


@pytest.fixture
def s3(s3_endpoint):
    with faulty_proxy(s3_endpoint("seaweedfs")) as (address, proxy):
        url = f"s3://models/{uuid4().hex}"
        yield proxy, S3StorageBackend(url, endpoint_url=address, **CREDENTIALS)


@EACH_WAY
@pytest.mark.parametrize(
    "fault",
    [Fault.STALLED, Fault.NOT_CONTINUED, Fault.UNAVAILABLE, None],
    ids=lambda fault: fault.name if fault else "REFUSED",
)
def test_an_s3_server_that_is_down(
    api, durability, from_round, fault, s3, database, bare, caplog
):
    proxy, storage = s3

    def break_down(server_round):
        if server_round == from_round and fault is None:
            proxy.refuse()
        elif server_round == from_round:
            proxy.fail_all(fault)

    outcome, seconds = run(
        api,
        break_down,
        registry=database,
        storage=storage,
        durability=durability,
    )
    assert outcome == bare[api]
    assert seconds < MOST_SECONDS
    assert "the storage is down since" in caplog.text
    with ModelRegistry(database) as registry:
        assert len(registry.list("digits")) in (from_round - 1, from_round - 2)


@pytest.fixture
def postgres(postgresql_server, postgresql_template):  # noqa: F811
    name = f"failing_{uuid4().hex[:12]}"
    engine = create_engine(
        f"{postgresql_server}/template1",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        command = f"CREATE DATABASE {name} TEMPLATE {postgresql_template}"
        connection.execute(text(command))
    url = f"{postgresql_server}/{name}"
    with postgres_proxy(url) as (proxy, address):
        yield proxy, address, url


@EACH_WAY
@pytest.mark.parametrize("mode", [Mode.STALL, Mode.REFUSE, Mode.CUT])
def test_a_postgresql_server_that_is_down(
    api, durability, from_round, mode, postgres, tmp_path, bare, caplog
):
    proxy, address, url = postgres

    def break_down(server_round):
        if server_round == from_round:
            proxy.mode = mode

    outcome, seconds = run(
        api, break_down, registry=address, storage=tmp_path, durability=durability
    )
    assert outcome == bare[api]
    assert seconds < MOST_SECONDS
    assert "the database is down since" in caplog.text
    with ModelRegistry(url, tmp_path) as registry:
        found = registry.list("digits") if registry.models() else []
        assert len(found) in (from_round - 1, from_round - 2)


@DIAGONAL
def test_a_postgresql_server_that_is_back_in_the_fourth_round(
    api, durability, postgres, tmp_path, bare, caplog
):
    proxy, address, url = postgres

    def change(server_round):
        if server_round == 2:
            proxy.mode = Mode.REFUSE
        if server_round == 4:
            proxy.mode = Mode.PASS

    outcome, _ = run(
        api, change, registry=address, storage=tmp_path, durability=durability
    )
    assert outcome == bare[api]
    with ModelRegistry(url, tmp_path) as registry:
        rounds = [each.server_round for each in registry.list("digits")]
    assert rounds[0] == 5
    assert 3 not in rounds or durability == "background"
