"""What is written beside training, and when it is durable."""

import gc
import logging
import re
import threading
import time
import tracemalloc
import weakref
from itertools import pairwise

import numpy as np
import pytest
from federation.catalogue import find
from federation.in_process_grid import InProcessGrid, to_record
from federation.outcome import Play, play
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import StorageError
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.strategy.writing import background_writer

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])
EITHER = pytest.mark.parametrize("durability", ["background", "sync"])


class Gated(LocalStorageBackend):
    """Saves models once a gate is open, and tells when it is asked to."""

    def __init__(self, root):
        super().__init__(root)
        self.asked, self.gate = threading.Event(), threading.Event()
        self.saved = []

    def save(self, key, content):
        if key.startswith("models/"):
            self.asked.set()
            assert self.gate.wait(30)
        stored = super().save(key, content)
        self.saved.append(key)
        return stored


class Watched(FedAvg):
    """Calls what a test gives in hooks of each round."""

    def __init__(self, **hooks):
        super().__init__(fraction_train=1.0, min_train_nodes=1, min_available_nodes=1)
        self.hooks = hooks

    def configure_train(self, server_round, *args):
        self.hooks.get("configure_train", lambda _: None)(server_round)
        return super().configure_train(server_round, *args)

    def configure_evaluate(self, server_round, *args):
        self.hooks.get("configure_evaluate", lambda _: None)(server_round)
        return super().configure_evaluate(server_round, *args)


class Forgetful(list):
    """Keeps nothing of what was sent."""

    def append(self, _):
        pass


def start(strategy, rounds=3, size=12, **options):
    wrapped = RegistryStrategy(strategy, model="digits", run="trial", **options)
    grid = InProcessGrid(find("message-FedAvg").make().clients)
    grid.sent = Forgetful()
    initial = to_record({"w": np.zeros(size, np.float32)})
    return wrapped.start(grid=grid, initial_arrays=initial, num_rounds=rounds)


@pytest.fixture
def gated(tmp_path):
    storage = Gated(tmp_path)
    yield storage
    storage.gate.set()


def test_training_goes_on_while_a_model_is_written(gated, database):
    reached = []

    def going_on(server_round):
        if server_round == 2:
            assert gated.asked.wait(30)
            reached.append(list(gated.saved))
            gated.gate.set()

    with ModelRegistry(database, gated) as registry:
        start(Watched(configure_train=going_on), registry=registry)
        assert reached == [[]], "round 2 began before round 1 was stored"
        assert len(registry.list("digits")) == 3
        assert CheckpointManager(gated, "trial").rounds() == [1, 2, 3]


def test_in_sync_each_hook_is_durable_before_it_returns(tmp_path, database):
    found = []

    def look(server_round):
        folder = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
        found.append((server_round, folder.rounds()))

    start(Watched(configure_train=look), registry=database, durability="sync")
    assert found == [(1, []), (2, [1]), (3, [1, 2])]


def test_no_more_than_the_last_round_is_behind(tmp_path, database):
    found = []

    def look(server_round):
        folder = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
        found.append(len(folder.rounds()) >= server_round - 1)

    start(Watched(configure_evaluate=look), registry=database)
    assert found == [True] * 3


def test_a_slow_storage_holds_training_up_and_the_log_says_so(
    database, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "flwr")

    class Slow(LocalStorageBackend):
        def save(self, key, content):
            threading.Event().wait(0.3 if key.startswith("models/") else 0)
            return super().save(key, content)

    with ModelRegistry(database, Slow(tmp_path)) as registry:
        start(Watched(), registry=registry)
        assert len(registry.list("digits")) == 3
    assert re.search(
        r"registry: round 2 waited .* for storage and database", caplog.text
    )


def test_no_model_is_held_once_it_is_written(database):
    models = []

    class Watching(FedAvg):
        def aggregate_train(self, server_round, replies):
            arrays, metrics = super().aggregate_train(server_round, replies)
            models.append(weakref.ref(arrays))
            return arrays, metrics

    strategy = Watching(min_train_nodes=1, min_available_nodes=1)
    result = start(strategy, registry=database, rounds=5)
    end = time.monotonic() + 5
    # The writer's thread may still be on its way out of the last job.
    while any(ref() is not None for ref in models[:-1]) and time.monotonic() < end:
        gc.collect()
    assert [ref() is not None for ref in models] == [False] * 4 + [True]
    assert models[-1]() is result.arrays


def test_no_reply_is_held_once_its_round_is_over(database):
    replies_of = []

    class Watching(FedAvg):
        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            replies_of.append([weakref.ref(each) for each in replies])
            return super().aggregate_train(server_round, replies)

        def configure_train(self, *args):
            gc.collect()
            held = [ref() for of_round in replies_of[:-1] for ref in of_round]
            assert held == [None] * len(held)
            return super().configure_train(*args)

    start(Watching(min_train_nodes=1, min_available_nodes=1), registry=database)
    assert len(replies_of) == 3


@BOTH
def test_reading_through_the_same_registry_sees_the_round_so_far(api, database):
    seen = {}
    with ModelRegistry(database) as registry:

        def wrap(strategy):
            inner = type(strategy)

            class Reading(inner):
                def configure_evaluate(self, server_round, *args, **named):
                    seen[server_round] = len(registry.list("digits"))
                    return super().configure_evaluate(server_round, *args, **named)

            strategy.__class__ = Reading
            return RegistryStrategy(strategy, registry=registry, model="digits")

        play(find(f"{api}-FedAvg"), Play(wrap=wrap))
    assert seen == {1: 1, 2: 2, 3: 3}


def test_trouble_in_the_background_is_raised_by_the_next_hook(tmp_path, database):
    (tmp_path / "blocked").write_text("a file where the folder should be")
    rounds = []
    with pytest.raises(StorageError, match=r"cannot save models/digits/1\.0\.0/"):
        start(
            Watched(configure_train=rounds.append),
            registry=database,
            storage=tmp_path / "blocked",
            on_error="raise",
        )
    assert rounds in ([1], [1, 2])


def test_trouble_in_the_last_round_is_raised_at_the_end(database, tmp_path):
    class Failing(LocalStorageBackend):
        def save(self, key, content):
            if "round_000003/COMMITTED" in key:
                raise StorageError("the disk is gone", key=key)
            return super().save(key, content)

    with (
        ModelRegistry(database, Failing(tmp_path)) as registry,
        pytest.raises(StorageError, match="the disk is gone"),
    ):
        start(Watched(), registry=registry, on_error="raise", timeout_seconds=1)
    with ModelRegistry(database) as registry:
        assert len(registry.list("digits")) == 3


@EITHER
def test_without_start_each_hook_is_durable_before_it_returns(durability, database):
    strategy = RegistryStrategy(
        Watched(), registry=database, model="digits", durability=durability
    )
    grid = InProcessGrid(find("message-FedAvg").make().clients)
    arrays = to_record({"w": np.zeros(12, np.float32)})
    messages = strategy.configure_train(1, arrays, ConfigRecord(), grid)
    strategy.aggregate_train(1, grid.send_and_receive(messages))
    with ModelRegistry(database) as registry:
        assert len(registry.list("digits")) == 1


def test_a_checkpoint_holds_the_state_of_its_round(gated, database):
    """Even when the strategy changes its arrays in place meanwhile."""

    class Momentum(Watched):
        def aggregate_train(self, server_round, replies):
            if not hasattr(self, "velocity"):
                self.velocity = np.zeros(400_000, np.float32)
            self.velocity += server_round
            return super().aggregate_train(server_round, replies)

    with ModelRegistry(database, gated) as registry:
        # The model of round 1 is still being stored when round 2 adds to the velocity.
        threading.Timer(0.5, gated.gate.set).start()
        start(Momentum(), registry=registry, rounds=2)
    folder = CheckpointManager(gated, "trial")
    for server_round, expected in [(1, 1), (2, 3)]:
        content = folder.load_round(server_round).content
        (velocity,) = [a for a in content.state_arrays.values() if a.size == 400_000]
        assert np.all(velocity == expected)


@pytest.fixture
def impatient(monkeypatch):
    """Let nobody wait a second for a writer that is known to be stuck."""
    monkeypatch.setattr(background_writer, "_BRIEF_SECONDS", 0.05)
    monkeypatch.setattr(background_writer, "_MARGIN_SECONDS", 0.05)


def test_no_more_than_two_models_are_held_while_one_is_stuck(
    gated, database, impatient, caplog
):
    held, size = [], 500_000

    def look(server_round):
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] / (4 * size))

    with ModelRegistry(database, gated, timeout_seconds=60) as registry:
        tracemalloc.start()
        try:
            start(
                Watched(configure_train=look),
                registry=registry,
                rounds=6,
                size=size,
                timeout_seconds=1,
            )
        finally:
            tracemalloc.stop()
        gated.gate.set()
        while "it failed" not in caplog.text:  # the last line of the run, said late
            time.sleep(0.01)
    # One that is being saved, one that training goes on with, and no further one; the
    # rest are the nodes' replies, which Flower holds for a round.
    assert max(held[3:]) - held[2] < 1.5, held


def test_a_model_that_comes_late_is_the_parent_of_the_next(
    gated, database, impatient, caplog
):
    def look(server_round):
        if server_round == 2:
            registry.get("digits@latest")  # waits for round 1
            gated.gate.clear()
        if server_round == 6:
            gated.gate.set()
            while len(gated.saved) < 2:
                time.sleep(0.001)

    gated.gate.set()
    with ModelRegistry(database, gated) as registry:
        start(
            Watched(configure_train=look),
            registry=registry,
            rounds=8,
            timeout_seconds=0.5,
        )
        versions = registry.list("digits")[::-1]
    rounds = [each.server_round for each in versions]
    assert rounds[:2] == [1, 2]
    assert rounds[-1] == 8
    assert not {3, 4, 5} & set(rounds)
    for parent, child in pairwise(versions):
        assert child.parent_version == parent.version
    assert "could not register the model of round 4" in caplog.text
    assert "Not registered: rounds 3 to " in caplog.text
