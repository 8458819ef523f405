"""A killed federation goes on as if nothing had happened, bit for bit."""

import itertools

import pytest
from federation.catalogue import CATALOGUE, find
from federation.crashes import (
    CRASHED,
    POINTS,
    CrashingStorage,
    crash_in_hooks,
    run_in_child,
)
from federation.outcome import Play, play

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.storage import LocalStorageBackend

ROUNDS = 4
QUICK = ("message-FedAvg", "message-FedAdam", "legacy-FedAdam")
REGISTRABLE = [entry for entry in CATALOGUE if not entry.unregistrable]


def rotated():
    """Each strategy at a point; together they take all points and all rounds."""
    rounds, points = itertools.cycle((3, 1, 4, 2, 3)), itertools.cycle(POINTS)
    for entry in REGISTRABLE:
        point, server_round = next(points), next(rounds)
        name = f"{entry}-{point}-{server_round}"
        marks = () if str(entry) in QUICK else (pytest.mark.slow,)
        yield pytest.param(entry, point, server_round, id=name, marks=marks)


def recorded(entry, folder, *, storage=None, before=None, **options):
    """Run an entry in a registry in a folder; return its outcome."""

    def wrap(strategy):
        if before is not None:
            before(strategy)
        registry = ModelRegistry(
            folder / "registry.db", storage or LocalStorageBackend(folder)
        )
        return RegistryStrategy(
            strategy, registry=registry, run="trial", on_error="raise", **options
        )

    return play(entry, Play(rounds=ROUNDS, wrap=wrap))


def crashed(entry, folder, point, server_round, **options):
    storage = CrashingStorage(folder, point, server_round)
    return run_in_child(
        lambda: recorded(
            entry,
            folder,
            storage=storage,
            before=lambda s: crash_in_hooks(s, entry.api, point, server_round),
            **options,
        )
    )


def line(folder):
    """The versions that count, each by its bytes and those of its parent."""
    with ModelRegistry(folder / "registry.db") as registry:
        versions = registry.list("digits")[::-1] or registry.list("default")[::-1]
        bytes_of = {each.version: each.checksum for each in versions}
        return [
            (each.server_round, each.checksum, bytes_of.get(each.parent_version))
            for each in versions
            if not each.superseded
        ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The whole run of an entry, made once."""
    known = {}

    def whole(entry):
        if str(entry) not in known:
            folder = tmp_path_factory.mktemp("whole")
            known[str(entry)] = recorded(entry, folder), line(folder)
        return known[str(entry)]

    return whole


def check(entry, folder, point, server_round, uninterrupted):
    expected, expected_line = uninterrupted(entry)
    status = crashed(entry, folder, point, server_round)
    if status == 0:
        # A round without a model saves no bytes.
        assert point == "after bytes"
        assert len(expected_line) < ROUNDS
        server_round = ROUNDS + 1
    else:
        assert status == CRASHED
    found = recorded(entry, folder, resume="auto")
    assert found.arrays == expected.arrays
    assert found.metrics == expected.metrics
    assert found.random_state == expected.random_state
    assert found.strategy_state == expected.strategy_state
    assert line(folder) == expected_line
    assert found.sent == expected.sent[len(expected.sent) - len(found.sent) :]
    done = server_round if point == POINTS[-1] else server_round - 1
    if done == 0:
        assert found.sent == expected.sent
    elif done > is_still_writing(entry, point):
        assert len(found.sent) < len(expected.sent)


def is_still_writing(entry, point):
    """Whether the round before the crash may not have its checkpoint yet."""
    return entry.api == "message" and point in ("before aggregate", "after aggregate")


@pytest.mark.parametrize(("entry", "point", "server_round"), list(rotated()))
def test_every_strategy_resumes_exactly(
    entry, point, server_round, tmp_path, uninterrupted
):
    check(entry, tmp_path, point, server_round, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", ["message-FedAdam", "legacy-FedAdam"])
def test_every_point_of_a_round(name, point, tmp_path, uninterrupted):
    check(find(name), tmp_path, point, 2, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "done"),
    [("message-FedAvg", 3), ("legacy-FedAvg", 3), ("message-FedAdam", 2)],
)
def test_without_arrays_of_its_own_a_strategy_goes_on_from_its_last_version(
    name, done, tmp_path, uninterrupted
):
    entry = find(name)
    expected, expected_line = uninterrupted(entry)
    assert (
        crashed(
            entry,
            tmp_path,
            "before aggregate",
            4,
            checkpoint_every=2,
            durability="sync",
        )
        == CRASHED
    )
    with ModelRegistry(tmp_path / "registry.db") as registry:
        folder = CheckpointManager(registry.storage, "trial")
        assert folder.rounds() == ([2] if done == 2 else [2, 3])
        assert len(registry.list()) == 3
    found = recorded(entry, tmp_path, resume=True, checkpoint_every=2)
    assert (found.arrays, found.metrics) == (expected.arrays, expected.metrics)
    assert found.random_state == expected.random_state
    assert found.strategy_state == expected.strategy_state
    assert line(tmp_path) == expected_line
    assert folder.rounds() == [2, 4]
