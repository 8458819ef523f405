"""One run, one writer: starts of one name at the same time, and after one another."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from federation.catalogue import find
from federation.clients import NumpyClients
from federation.in_process_grid import InProcessGrid, to_record
from federation.outcome import Play, play
from flwr.app import MetricRecord
from flwr.serverapp.strategy import FedAvg

from flwr_registry import CheckpointManager, ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import run_folders
from flwr_registry.errors import FencedError, RunHeldError
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

MODEL = {"w": np.zeros(4, np.float32)}
TOO_LONG = 60
CHILD = """
import sys, time
from strategy.test_one_writer import start
def evaluate(server_round, arrays):
    print(server_round, flush=True)
    time.sleep(float(sys.argv[3]))
start(sys.argv[1], 4, evaluate_fn=evaluate, lease_seconds=float(sys.argv[2]))
print("ended", flush=True)
"""


def start(folder, rounds=3, evaluate_fn=None, **options):
    wrapped = RegistryStrategy(
        FedAvg(),
        **{
            "registry": f"{folder}/registry.db",
            "run": "trial",
            "model": "digits",
            "resume": "auto",
            **options,
        },
    )
    return wrapped.start(
        grid=InProcessGrid(NumpyClients()),
        initial_arrays=to_record(MODEL),
        num_rounds=rounds,
        evaluate_fn=evaluate_fn,
    )


class Meanwhile:
    """Does something during the central evaluation of a round."""

    def __init__(self, server_round, work):
        self._round = server_round
        self._work = work

    def __call__(self, server_round, _):
        if server_round == self._round:
            self._work()
        return MetricRecord({"loss": 1.0})


def in_thread(work):
    """Return what the work returned or raised."""
    found = []

    def run():
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(TOO_LONG)
    assert not thread.is_alive(), "it hangs"
    return found[0]


def trained_rounds(folder):
    """The round of each version that counts, oldest first."""
    with ModelRegistry(f"{folder}/registry.db") as registry:
        assert registry.doctor() == []
        kept = [each for each in registry.list() if not each.superseded]
    return [each.server_round for each in reversed(kept)]


def errors_in(caplog):
    return [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]


@pytest.fixture
def child(tmp_path):
    """A process that trains the run; gives it and the next word that it prints."""
    processes = []

    def begin(lease_seconds, seconds_a_round):
        arguments = (tmp_path, lease_seconds, seconds_a_round)
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        processes.append(process)

        def wait_for(word):
            for line in process.stdout:
                if line.strip() == word:
                    return
            raise AssertionError(f"{word} never came")

        return process, wait_for

    yield begin
    for each in processes:
        each.kill()
        each.wait()
        each.stdout.close()


@pytest.mark.parametrize("on_error", ["warn", "raise"])
@pytest.mark.parametrize("resume", ["auto", False])
def test_a_second_start_at_the_same_time_is_refused(tmp_path, on_error, resume):
    refused = []

    def rival():
        work = lambda: start(tmp_path, on_error=on_error, resume=resume)  # noqa: E731
        refused.append(in_thread(work))

    start(tmp_path, evaluate_fn=Meanwhile(2, rival))
    (error,) = refused
    assert isinstance(error, RunHeldError)
    assert f"held by start 1, process {os.getpid()} " in str(error)
    assert trained_rounds(tmp_path) == [1, 2, 3]
    assert run_folders(LocalStorageBackend(tmp_path)) == ["trial"]
    with ModelRegistry(f"{tmp_path}/registry.db") as registry:
        assert len(registry.runs()) == 1


@pytest.mark.parametrize("down", ["registry", "storage"])
def test_one_place_alone_tells_that_a_run_is_held(tmp_path, down):
    (tmp_path / "a file").touch()
    places = {
        "registry": f"sqlite:///{tmp_path}/registry.db",
        "storage": str(tmp_path),
        "timeout_seconds": 1,
        down: f"{tmp_path}/a file/below",
    }
    refused = []

    def rival():
        refused.append(in_thread(lambda: start(tmp_path, resume=False, **places)))

    evaluate_fn = Meanwhile(1, rival)
    start(tmp_path, 1, evaluate_fn=evaluate_fn, resume=False, **places)
    assert isinstance(refused[0], RunHeldError)


def test_other_names_and_later_starts_are_not_concerned(tmp_path):
    others = []

    def rival():
        others.append(in_thread(lambda: start(tmp_path, 1, run="other")))
        others.append(in_thread(lambda: start(tmp_path, 1, run=None, resume=False)))

    start(tmp_path, 1, evaluate_fn=Meanwhile(1, rival))
    assert not any(isinstance(each, Exception) for each in others)
    began = time.monotonic()
    start(tmp_path, 2)
    assert time.monotonic() - began < 25, "it waited for a lease"
    with ModelRegistry(f"{tmp_path}/registry.db") as registry:
        lease = registry.run_lease("trial")
        assert (lease.start_number, lease.released) == (2, True)
        mine = [each for each in registry.runs() if each.provenance.name == "trial"]
        assert [each.start_number for each in mine] == [2, 1]
    assert "flwr-registry-lease" not in [each.name for each in threading.enumerate()]


def test_a_run_that_an_error_ends_is_free_at_once(tmp_path):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start(tmp_path, evaluate_fn=Meanwhile(2, fail))
    with ModelRegistry(f"{tmp_path}/registry.db") as registry:
        assert registry.run_lease("trial").released
    assert not isinstance(in_thread(lambda: start(tmp_path)), Exception)
    assert trained_rounds(tmp_path) == [1, 2, 3]


def test_a_legacy_run_that_ended_untold_is_free(tmp_path):
    entry = find("legacy-FedAdam")
    kept = []

    def wrap(strategy):
        kept.append(
            RegistryStrategy(
                strategy,
                registry=f"{tmp_path}/registry.db",
                run="trial",
                resume="auto",
                on_error="raise",
            )
        )
        return kept[-1]

    for rounds in (1, 2, 2):
        play(entry, Play(rounds=rounds, wrap=wrap))
        with ModelRegistry(f"{tmp_path}/registry.db") as registry:
            assert registry.run_lease("trial").released
    assert trained_rounds(tmp_path) == [1, 2]


@pytest.mark.parametrize("on_error", ["warn", "raise"])
def test_a_start_that_is_taken_over_writes_nothing_more(tmp_path, on_error, caplog):
    def taken_over():
        with ModelRegistry(f"{tmp_path}/registry.db") as registry:
            registry.release_run("trial")
        newer.append(in_thread(lambda: start(tmp_path)))

    newer = []
    evaluate_fn = Meanwhile(2, taken_over)
    if on_error == "raise":
        with pytest.raises(FencedError, match="taken over by start 2"):
            start(tmp_path, 4, evaluate_fn=evaluate_fn, on_error="raise")
    else:
        result = start(tmp_path, 4, evaluate_fn=evaluate_fn)
        assert list(result.train_metrics_clientapp) == [1, 2, 3, 4]
        (said,) = errors_in(caplog)
        assert "run trial was taken over by start 2" in said
        assert "Training goes on; none of it is registered" in said
    assert not isinstance(newer[0], Exception)
    assert trained_rounds(tmp_path) == [1, 2, 3]
    (folder,) = run_folders(LocalStorageBackend(tmp_path))
    assert CheckpointManager(LocalStorageBackend(tmp_path), folder).rounds()[-1] == 3
    with ModelRegistry(f"{tmp_path}/registry.db") as registry:
        made_by = {each.server_round: each.run_id for each in registry.list()}
        new, old = registry.runs()
        assert (made_by[1], made_by[3]) == (old.id, new.id)


def test_one_that_was_killed_is_gone_on_with_at_once(tmp_path, child, caplog):
    process, wait_for = child(lease_seconds=600, seconds_a_round=1)
    wait_for("2")
    process.kill()
    process.wait()
    caplog.set_level(logging.INFO)
    start(tmp_path, 4)
    assert "that process is dead" in caplog.text
    assert trained_rounds(tmp_path) == [1, 2, 3, 4]
    assert run_folders(LocalStorageBackend(tmp_path)) == ["trial"]


@pytest.mark.slow
def test_one_that_lives_in_another_process_is_not_disturbed(tmp_path, child):
    _, wait_for = child(lease_seconds=2, seconds_a_round=2)
    wait_for("1")
    with pytest.raises(RunHeldError, match="which is alive"):
        start(tmp_path, 4)
    wait_for("ended")
    assert trained_rounds(tmp_path) == [1, 2, 3, 4]


@pytest.mark.slow
def test_one_that_was_paused_is_taken_over_and_commits_nothing(tmp_path, child):
    process, wait_for = child(lease_seconds=1.5, seconds_a_round=1)
    wait_for("2")
    pause(process, tmp_path)
    start(tmp_path, 4, lease_seconds=1.5)
    before = everything_in(tmp_path)
    process.send_signal(signal.SIGCONT)
    wait_for("ended")
    assert process.wait(TOO_LONG) == 0
    assert everything_in(tmp_path) == before
    assert trained_rounds(tmp_path) == [1, 2, 3, 4]
    storage = LocalStorageBackend(tmp_path)
    assert run_folders(storage)[-1] == "trial~2", "they would write the same files"
    assert CheckpointManager(storage, "trial~2").rounds()[-1] == 4


def pause(process, folder):
    """Pause a process, not while it has the database locked: that is SQLite's end."""
    while True:
        process.send_signal(signal.SIGSTOP)
        connection = sqlite3.connect(folder / "registry.db", timeout=0.1)
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        finally:
            connection.close()


def everything_in(folder):
    """Return all that was committed.

    Left out is what the paused start may have been in the middle of: a checkpoint in
    the folder that it alone writes, and bytes that no version has.
    """
    storage = LocalStorageBackend(folder)
    with ModelRegistry(f"{folder}/registry.db") as registry:
        rounds = [registry.rounds(run) for run in registry.runs()]
        versions = registry.list()
        assert registry.verify_all().problems == ()
    kept = list(storage.list("checkpoints/trial~2"))
    kept += [each.storage_path for each in versions]
    return {key: bytes(storage.load(key)) for key in kept}, rounds, versions


@pytest.mark.parametrize("seconds", [0, -1, True, "30", float("inf"), float("nan")])
def test_lease_seconds_is_a_duration(seconds):
    with pytest.raises(ValueError, match="lease_seconds"):
        RegistryStrategy(FedAvg(), lease_seconds=seconds)
