"""Eight processes govern one model at once: one production, whole history."""

import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

WORKER = """
import random, sys
import numpy as np
from flwr_registry.errors import InvalidStateError, RollbackError
from flwr_registry.registry import ModelRegistry
url, storage, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
choose = random.Random(seed)
sys.stdin.readline()
with ModelRegistry(url, storage, lock_timeout_seconds=60) as opened:
    for turn in range(6):
        made = opened.register({"w": np.full(2, 100 * seed + turn)}, model="digits")
        if choose.random() < 0.7:
            try:
                opened.promote(made.reference, reason=f"worker {seed}")
            except InvalidStateError as error:
                print("refused", error)
        else:
            try:
                opened.rollback("digits")
            except RollbackError:
                pass
        print(made.version)
"""


def started(url, storage, seed):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, storage, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_eight_processes_govern_one_model(registry, add, database_url, tmp_path, sql):
    registry.promote(add(-1).reference)
    workers = [
        started(database_url, str(tmp_path / "weights"), seed) for seed in range(8)
    ]
    seen, done = set(), threading.Event()

    def watch():
        while not done.is_set():
            rows = sql("SELECT id FROM model_versions WHERE is_production")
            seen.add(len(rows))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate(timeout=120) for worker in workers]
    finally:
        done.set()
        watcher.join()
    assert [error for _, error in answers if error] == []
    made = [line for output, _ in answers for line in output.split()]
    assert len(made) == len(set(made)) == 48
    assert len(registry.list("digits")) == 49
    assert seen == {1}
    history = registry.history("digits")
    assert [each.sequence for each in history] == list(range(len(history), 0, -1))
    for later, earlier in pairwise(history):
        assert later.from_version == earlier.to_version
    assert registry.production("digits").version == history[0].to_version
