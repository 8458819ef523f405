"""What a start may write once a newer one has begun: nothing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.checkpointing import StorageLeases
from flwr_registry.errors import FencedError
from flwr_registry.records import (
    DriftFinding,
    DriftKind,
    DriftSeverity,
    Lease,
    LeaseHolder,
    MetricSource,
    RoundStatus,
    RunProvenance,
)
from flwr_registry.registry import AsyncModelRegistry, DatabaseLeases
from flwr_registry.storage import LocalStorageBackend

PROVENANCE = RunProvenance("trial", "digits")


def lease_of(start_number):
    return Lease(
        run="trial",
        start_number=start_number,
        token=uuid4().hex,
        holder=LeaseHolder("ward-7", 4711, user="ada"),
        since=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    )


@pytest.fixture
def leases(registry):
    return DatabaseLeases(lambda: registry, "trial")


@pytest.fixture
def old(registry):
    """The first start, which made a version."""
    run = registry.start_run(PROVENANCE, lease=lease_of(1))
    registry.register(weights_of(1), model="digits", run=run, facts=facts_of(1, "7"))
    return run


def test_a_run_knows_which_start_it_is(registry, old):
    assert old.start_number == 1
    assert registry.runs() == [old]
    other = registry.start_run(RunProvenance("by-hand", "digits"))
    assert other.start_number is None


def test_starting_writes_a_lease_down_that_could_not_be_before(registry, leases):
    lease = lease_of(4)
    registry.start_run(PROVENANCE, lease=lease)
    assert leases.newest() == lease
    with pytest.raises(FencedError, match=r"start 4, process 4711 of ada on ward-7"):
        registry.start_run(PROVENANCE, lease=lease_of(3))
    with pytest.raises(FencedError):
        registry.start_run(PROVENANCE, lease=lease_of(4))
    assert len(registry.runs()) == 1


def test_an_old_start_writes_nothing(registry, old, leases):
    leases.claim(lease_of(2))
    (made,) = registry.list()
    finding = DriftFinding(
        kind=DriftKind.PERFORMANCE,
        subject="loss",
        since="1",
        found="2",
        statistic=1.0,
        threshold=0.5,
        severity=DriftSeverity.WARNING,
        message="worse",
    )
    facts = facts_of(2, "7")
    for write in (
        lambda: registry.register(weights_of(2), model="digits", run=old, facts=facts),
        lambda: registry.record_round(old, facts, RoundStatus.NO_RESULT),
        lambda: registry.record_metrics(
            old, 1, MetricSource.EVALUATE_SERVERAPP, {"loss": 1.0}, measured=made
        ),
        lambda: registry.record_drift("digits", [finding], run=old),
    ):
        with pytest.raises(FencedError) as raised:
            write()
        assert (raised.value.run, raised.value.start_number) == ("trial", 2)
    assert registry.list() == [made]
    assert [each.server_round for each in registry.rounds(old)] == [1]
    assert registry.drift_findings("digits") == []
    assert len(list(registry.storage.list("models"))) == 1
    assert registry.doctor() == []


def test_one_that_is_taken_over_while_its_bytes_are_saved_leaves_none(
    database_url, registry, leases, tmp_path
):
    class TakenOver(LocalStorageBackend):
        def save(self, key, content):
            stored = super().save(key, content)
            leases.claim(lease_of(2))
            return stored

    with type(registry)(database_url, TakenOver(tmp_path / "weights")) as opened:
        run = opened.start_run(PROVENANCE, lease=lease_of(1))
        with pytest.raises(FencedError):
            opened.register(
                weights_of(1), model="digits", run=run, facts=facts_of(1, "7")
            )
    assert registry.list() == []
    assert list(registry.storage.list("models")) == []
    assert registry.doctor() == []


def test_the_newest_start_and_those_without_a_lease_write(registry, old, leases):
    run = registry.start_run(PROVENANCE, lease=lease_of(2))
    by_hand = registry.start_run(PROVENANCE)
    for number, each in enumerate((run, by_hand), start=2):
        made = registry.register(
            weights_of(number), model="digits", run=each, facts=facts_of(2, "7")
        )
        assert made.version == f"1.{number - 1}.0"
    assert registry.register(weights_of(9), model="digits").version == "1.3.0"


def test_a_run_is_freed_in_database_and_storage(registry, leases):
    lease = lease_of(1)
    stored = StorageLeases(registry.storage, "trial")
    leases.claim(lease)
    stored.claim(lease)
    leases.renew(replace(lease, renewals=3))
    assert registry.run_lease("trial") == replace(lease, renewals=3)
    freed = registry.release_run("trial", actor="eve")
    assert freed == registry.run_lease("trial")
    assert freed.released
    assert leases.newest().released
    assert stored.newest().released
    entry = registry.audit()[0]
    assert (entry.action, entry.actor) == ("release_run", "eve")
    assert entry.details["holder"]["host"] == "ward-7"
    assert registry.verify_audit().problems == ()


@pytest.mark.parametrize("place", ["database", "storage"])
def test_a_run_that_one_place_knows_is_freed_there(registry, leases, place):
    stored = StorageLeases(registry.storage, "trial")
    store, other = (leases, stored) if place == "database" else (stored, leases)
    store.claim(lease_of(2))
    assert registry.release_run("trial").start_number == 2
    assert store.newest().released
    assert other.newest() is None


def test_there_is_nothing_to_free(registry):
    assert registry.run_lease("trial") is None
    assert registry.release_run("trial") is None


def test_the_awaited_registry_frees_runs_too(database_url, tmp_path, leases):
    leases.claim(lease_of(1))

    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            held = await opened.run_lease("trial")
            return held, await opened.release_run("trial")

    held, freed = asyncio.run(work())
    assert (held.released, freed.released) == (False, True)


def test_leases_are_no_matter_of_upkeep(registry, old):
    StorageLeases(registry.storage, "trial").claim(lease_of(1))
    keys = list(registry.storage.list("leases"))
    registry.gc()
    assert registry.doctor() == []
    assert list(registry.storage.list("leases")) == keys
