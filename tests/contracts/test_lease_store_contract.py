"""What every place for leases promises, checked on each of them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import pytest
from storage.s3_servers import CREDENTIALS, SERVERS

from flwr_registry.checkpointing import LeaseStore, StorageLeases
from flwr_registry.errors import InvalidNameError, StorageError
from flwr_registry.records import Lease, LeaseHolder
from flwr_registry.registry import DatabaseLeases, ModelRegistry
from flwr_registry.storage import (
    FsspecStorageBackend,
    LocalStorageBackend,
    S3StorageBackend,
)

HOLDER = LeaseHolder("ward-7", 4711, "boot", "pid:[1]", "99", "ada")


class PlainStorage:
    """A storage that cannot create: somebody's own, with the six verbs alone."""

    def __init__(self, inner):
        self._inner = inner
        for verb in ("save", "load", "open", "delete", "exists", "list"):
            setattr(self, verb, getattr(inner, verb))

    @property
    def url(self):
        return self._inner.url


@pytest.fixture(params=["local", "memory", "plain", *SERVERS, "sqlite", "postgresql"])
def place(request, tmp_path, s3_endpoint):
    """Makes a store for a run, as each machine has its own."""
    if request.param in {"sqlite", "postgresql"}:
        url = request.getfixturevalue("database_url")
        with ModelRegistry(url, tmp_path) as registry:
            yield lambda run: DatabaseLeases(lambda: registry, run)
        return
    yield storage_place(request, tmp_path, s3_endpoint)


def storage_place(request, tmp_path, s3_endpoint):
    if request.param == "local":
        return lambda run: StorageLeases(LocalStorageBackend(tmp_path), run)
    if request.param == "plain":
        return lambda run: StorageLeases(
            PlainStorage(LocalStorageBackend(tmp_path)), run
        )
    root = uuid4().hex
    if request.param == "memory":
        return lambda run: StorageLeases(FsspecStorageBackend(f"memory://{root}"), run)
    storage = S3StorageBackend(
        f"s3://models/{root}", endpoint_url=s3_endpoint(request.param), **CREDENTIALS
    )
    return lambda run: StorageLeases(storage, run)


@pytest.fixture
def backend(request):
    return request.node.callspec.params["place"]


@pytest.fixture
def store(place) -> LeaseStore:
    return place("trial")


def lease_of(start_number: int, run: str = "trial") -> Lease:
    return Lease(
        run=run,
        start_number=start_number,
        token=uuid4().hex,
        holder=HOLDER,
        since=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        lease_seconds=12.5,
    )


def test_is_a_lease_store(store):
    assert isinstance(store, LeaseStore)


def test_there_is_none_before_the_first(store):
    assert store.newest() is None


def test_a_lease_comes_back_as_it_was(store, place):
    lease = lease_of(1)
    assert store.claim(lease)
    assert store.newest() == place("trial").newest() == lease


def test_a_number_belongs_to_one_start(store):
    first, second = lease_of(1), lease_of(1)
    assert store.claim(first)
    assert not store.claim(second)
    assert store.newest() == first


def test_claimed_again_it_is_still_ours(store):
    lease = lease_of(1)
    assert store.claim(lease)
    assert store.claim(lease)


def test_numbers_only_grow(store):
    for number in (1, 2, 7):
        assert store.claim(lease_of(number))
    assert not store.claim(lease_of(6))
    assert not store.claim(lease_of(7))
    newest = store.newest()
    assert newest is not None
    assert newest.start_number == 7


def test_renewals_are_seen(store, place):
    lease = lease_of(3)
    store.claim(lease)
    for count in (1, 2):
        renewed = replace(lease, renewals=count)
        store.renew(renewed)
        assert place("trial").newest() == renewed


def test_a_released_lease_keeps_its_number(store, place):
    lease = lease_of(3)
    store.claim(lease)
    store.renew(replace(lease, renewals=5))
    store.release(lease)
    assert place("trial").newest() == replace(lease, renewals=5, released=True)
    assert store.claim(lease_of(4))


def test_a_withdrawn_claim_leaves_no_trace(store, place):
    first, second = lease_of(1), lease_of(2)
    store.claim(first)
    store.release(first)
    assert store.claim(second)
    store.withdraw(second)
    assert place("trial").newest() == replace(first, released=True)
    assert store.claim(lease_of(2))


def test_what_an_old_start_does_late_changes_nothing(store):
    old, new = lease_of(1), lease_of(2)
    assert store.claim(old)
    assert store.claim(new)
    store.renew(replace(old, renewals=9))
    store.release(old)
    assert store.newest() == new
    assert not store.claim(old)


def test_runs_do_not_share_numbers(store, place):
    assert store.claim(lease_of(5))
    assert place("trial-2").newest() is None
    assert place("trial-2").claim(lease_of(1, "trial-2"))
    newest = store.newest()
    assert newest is not None
    assert newest.start_number == 5


def test_one_of_several_starts_gets_a_number(place):
    begin = Barrier(4)
    leases = [lease_of(1) for _ in range(4)]

    def claim(lease: Lease) -> None:
        store = place("trial")
        begin.wait()
        with suppress(StorageError):  # changed by another one while it was read
            store.claim(lease)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(claim, leases))
    # Where several are told yes, because the place cannot tell them apart, all agree
    # afterwards whose it is.
    store = place("trial")
    assert [store.claim(lease) for lease in leases].count(True) == 1


@pytest.mark.parametrize("run", ["", "a/b", "..", "ä"])
def test_an_impossible_name_is_refused(place, run):
    with pytest.raises(InvalidNameError):
        place(run)
