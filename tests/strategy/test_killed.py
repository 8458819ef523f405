"""Killed at any moment, a hundred times: nothing is lost, nothing is wrong."""

import os
import random
import signal
import time

import pytest
from federation.catalogue import find
from federation.outcome import Play, play
from flwr.serverapp.strategy import FedAdam
from strategy.test_resume import line

from flwr_registry import CheckpointManager, ModelRegistry, RegistryStrategy
from flwr_registry.storage import LocalStorageBackend

KILLS = 100
MOST_SECONDS = 1.0
ENTRY = find("message-FedAdam")


def run(folder, rounds, durability="background"):
    def wrap(strategy):
        return RegistryStrategy(
            strategy,
            registry=str(folder / "registry.db"),
            run="trial",
            resume="auto",
            on_error="raise",
            durability=durability,
        )

    return play(ENTRY, Play(rounds=rounds, wrap=wrap))


def run_noting(write, folder, durability):
    """Run without end; write each round that is promised to be durable."""
    behind = {"sync": 1, "background": 2}[durability]
    own = FedAdam.configure_train

    def configure_train(self, server_round, *args):
        os.write(write, b"%d " % max(server_round - behind, 0))
        return own(self, server_round, *args)

    FedAdam.configure_train = configure_train
    run(folder, 10**6, durability)


def killed_after(seconds, folder, durability):
    """Run until killed; return the last round that was promised to be durable."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run_noting(write, folder, durability)
        finally:
            os._exit(1)
    os.close(write)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(read) as pipe:
        acknowledged = pipe.read().split()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return int(acknowledged[-1]) if acknowledged else 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_was_acknowledged_is_there_and_whole(tmp_path):
    chance = random.Random(0)
    manager = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
    done = 0
    for _ in range(KILLS):
        durability = chance.choice(("sync", "background"))
        promised = killed_after(chance.uniform(0, MOST_SECONDS), tmp_path, durability)
        done = max(done, promised)
        latest = manager.load_latest()
        reached = latest.content.server_round if latest else 0
        assert reached >= done, "a checkpoint is lost"
        assert latest is None or reached in manager.rounds()[-1:], "one is damaged"
    assert done > KILLS / 10, "too slow a machine for such short lives"
    with ModelRegistry(tmp_path / "registry.db") as registry:
        assert registry.verify_all().problems == ()
        assert {each.server_round for each in registry.list()} >= set(range(1, done))
        assert registry.verify_audit().problems == ()
    rounds = done + 3
    killed, whole = run(tmp_path, rounds), run(tmp_path / "whole", rounds)
    assert (killed.arrays, killed.metrics) == (whole.arrays, whole.metrics)
    assert killed.strategy_state == whole.strategy_state
    assert line(tmp_path) == line(tmp_path / "whole")
