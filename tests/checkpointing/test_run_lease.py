"""One run, one writer: who gets a run, who is refused, and who may still commit."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from flwr_registry.checkpointing import RunLease, StorageLeases
from flwr_registry.checkpointing.lease_holder import this_process
from flwr_registry.errors import FencedError, RunHeldError, StorageError
from flwr_registry.records import LeaseHolder
from flwr_registry.storage import BytesContent, LocalStorageBackend

ELSEWHERE = LeaseHolder("ward-7", 4711, "another boot", "pid:[1]", "99", "ada")
ELSEWHERE_TOO = LeaseHolder("ward-8", 4711, "a third boot", "pid:[1]", "99")
CHILD = """
import sys, time
from flwr_registry.checkpointing import RunLease, StorageLeases
from flwr_registry.storage import LocalStorageBackend
lease = RunLease("trial", [StorageLeases(LocalStorageBackend(sys.argv[1]), "trial")],
                 lease_seconds=float(sys.argv[2]))
print(lease.take().start_number, flush=True)
time.sleep(60)
"""


class BrokenStore:
    """A place that does not answer while it is told to."""

    def __init__(self, inner):
        self._inner = inner
        self.is_broken = True

    def __getattr__(self, verb):
        def call(*args):
            if self.is_broken:
                raise StorageError("the place does not answer")
            return getattr(self._inner, verb)(*args)

        return call


@pytest.fixture
def store(tmp_path):
    return StorageLeases(LocalStorageBackend(tmp_path), "trial")


@pytest.fixture
def take(store):
    """Take the run as this or another process; what was taken is given back."""
    taken = []

    def start(holder=None, *, lease_seconds=0.5, stores=(store,)):
        lease = RunLease("trial", stores, lease_seconds=lease_seconds, holder=holder)
        lease.take()
        taken.append(lease)
        return lease

    yield start
    for each in taken:
        each.release()


def let_fall_silent(lease):
    """Stop the renewals, as a paused or cut off process does, and release nothing."""
    lease._is_over.set()


@pytest.fixture
def child(tmp_path):
    """A process that holds the run."""

    def begin(lease_seconds=30.0):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(lease_seconds)],
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"1"
        return process

    processes: list[subprocess.Popen[bytes]] = []
    yield begin
    for each in processes:
        each.kill()
        each.wait()
        each.stdout.close()


def test_the_first_start_has_number_one(take, store):
    lease = take()
    assert lease.lease.start_number == 1
    assert store.newest() == lease.lease
    assert lease.lease.holder.pid == os.getpid()
    assert lease.check(store) == lease.lease


def test_a_released_run_is_taken_at_once(take, store):
    take().release()
    assert take(ELSEWHERE).lease.start_number == 2


def test_renewals_rise_while_the_run_lives_and_stop_at_its_end(take, store):
    lease = take(lease_seconds=0.15)
    wait_until(lambda: store.newest().renewals >= 2)
    lease.release()
    wait_until(lambda: not lease_threads())
    count = store.newest().renewals
    time.sleep(0.2)
    assert store.newest().renewals == count


def test_a_holder_elsewhere_that_renews_is_not_disturbed(take, caplog):
    held = take(ELSEWHERE, lease_seconds=1.5)
    with pytest.raises(RunHeldError, match="process 4711 of ada on ward-7") as raised:
        take(ELSEWHERE_TOO)
    assert raised.value.start_number == held.lease.start_number
    assert "flwr-registry run release trial" in str(raised.value)
    assert f"{held.lease.since:%Y-%m-%d %H:%M:%S}" in str(raised.value)
    assert "Waiting up to 1.5 s for a sign of life" in caplog.text
    assert len(lease_threads()) == 1


def test_a_silent_holder_elsewhere_is_taken_over_after_its_lease(take, store):
    silent = take(ELSEWHERE, lease_seconds=0.5)
    let_fall_silent(silent)
    began = time.monotonic()
    newer = take(ELSEWHERE_TOO, lease_seconds=30)
    assert time.monotonic() - began >= 0.5
    assert newer.lease.start_number == 2
    with pytest.raises(FencedError, match="start 2, process 4711 on ward-8") as raised:
        silent.check(store)
    assert raised.value.start_number == 2
    with pytest.raises(FencedError):
        silent.refuse_if_fenced()
    silent.release()
    assert not store.newest().released
    assert newer.check(store) == newer.lease


def test_a_renewing_holder_finds_out_by_itself_that_it_is_fenced(take, store):
    old = take(ELSEWHERE, lease_seconds=0.15)
    store.release(old.lease)
    take(ELSEWHERE_TOO, lease_seconds=30)
    wait_until(lambda: len(lease_threads()) == 1)
    with pytest.raises(FencedError):
        old.refuse_if_fenced()


def test_a_run_freed_by_hand_while_another_waits_is_taken(take, store):
    silent = take(ELSEWHERE, lease_seconds=30)
    let_fall_silent(silent)
    threading.Timer(0.3, lambda: store.release(silent.lease)).start()
    assert take(ELSEWHERE_TOO).lease.start_number == 2


def test_a_dead_process_of_this_machine_is_taken_over_at_once(child, take, caplog):
    process = child()
    caplog.set_level(logging.INFO)
    os.kill(process.pid, signal.SIGKILL)
    # Its parent has not looked after it: it is a zombie.
    wait_until(
        lambda: (
            f"{process.pid} (" in stat_of(process.pid) and " Z " in stat_of(process.pid)
        )
    )
    assert take().lease.start_number == 2
    assert "that process is dead" in caplog.text
    assert "Waiting" not in caplog.text


@pytest.mark.slow
def test_a_process_of_this_machine_that_lives_is_not_disturbed(child, take):
    process = child(0.9)
    with pytest.raises(RunHeldError, match=f"process {process.pid} "):
        take()


@pytest.mark.slow
def test_a_paused_process_of_this_machine_is_taken_over_after_its_lease(child, take):
    process = child(0.9)
    os.kill(process.pid, signal.SIGSTOP)
    assert take().lease.start_number == 2


def test_a_number_of_a_process_that_was_given_again_is_no_holder(take):
    take(replace(this_process(), process_start="1"), lease_seconds=30)
    assert take(lease_seconds=30).lease.start_number == 2


def test_another_thread_of_this_process_is_refused_at_once(take):
    held = take(lease_seconds=60)
    refused = in_thread(lambda: take(lease_seconds=60))
    assert isinstance(refused, RunHeldError)
    assert "another thread of this very process" in str(refused)
    assert held.lease.start_number == 1


def test_of_two_threads_at_once_one_gets_the_run(store):
    begin, leases, errors = threading.Barrier(2), [], []

    def start():
        lease = RunLease("trial", [store])
        begin.wait()
        try:
            lease.take()
            leases.append(lease)
        except RunHeldError as error:
            errors.append(error)
        begin.wait()

    threads = [threading.Thread(target=start) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(leases), len(errors)) == (1, 1)
    leases[0].release()


def test_the_same_thread_begins_anew_at_once(take):
    first = take(lease_seconds=60)
    assert take(lease_seconds=60).lease.start_number == 2
    assert first.lease.start_number == 1


def test_a_thread_that_ended_untold_holds_nothing(take, store):
    in_thread(lambda: take(lease_seconds=60))
    assert take(lease_seconds=60).lease.start_number == 2


def test_the_lease_of_a_thread_that_ended_untold_is_released(take, store):
    in_thread(lambda: take(lease_seconds=0.15))
    wait_until(lambda: store.newest().released)


@pytest.mark.slow
def test_what_nobody_holds_any_more_is_over(store):
    def forget():
        lease = RunLease("trial", [store], lease_seconds=60)
        lease.take()
        lease.itself = lease

    forget()
    other = in_thread(lambda: RunLease("trial", [store]).take())
    assert other.start_number == 2
    gc.collect()
    wait_until(lambda: not lease_threads())


def test_one_place_serves_while_the_other_does_not_answer(take, store, tmp_path):
    other = StorageLeases(LocalStorageBackend(tmp_path / "other"), "trial")
    broken = BrokenStore(other)
    lease = take(stores=(broken, store))
    assert store.newest() == lease.lease
    broken.is_broken = False
    assert other.newest() is None
    lease.check(broken)
    assert other.newest() == lease.lease


def test_the_number_exceeds_those_of_all_places(take, store, tmp_path):
    other = StorageLeases(LocalStorageBackend(tmp_path / "other"), "trial")
    for _ in range(3):
        take(stores=(other,)).release()
    assert take(stores=(store, other)).lease.start_number == 4
    assert store.newest().start_number == other.newest().start_number == 4


def test_a_lease_that_could_not_be_taken_is_taken_before_the_first_commit(store):
    broken = BrokenStore(store)
    lease = RunLease("trial", [broken])
    with pytest.raises(StorageError):
        lease.take()
    broken.is_broken = False
    assert lease.check(broken).start_number == 1
    lease.release()


def test_trouble_with_renewals_is_told_once(take, store, caplog):
    broken = BrokenStore(store)
    broken.is_broken = False
    lease = take(lease_seconds=0.15, stores=(broken,))
    broken.is_broken = True
    wait_until(lambda: "could not be renewed" in caplog.text)
    time.sleep(0.2)
    assert caplog.text.count("could not be renewed") == 1
    broken.is_broken = False
    wait_until(lambda: store.newest().renewals > 2)
    lease.release()


def test_a_damaged_record_is_a_holder_like_any_other(store, tmp_path, take):
    LocalStorageBackend(tmp_path).save("leases/trial/000003/held", BytesContent(b""))
    held = store.newest()
    assert (held.start_number, held.holder.host) == (3, "an unknown host")
    store.release(held)
    assert take().lease.start_number == 4


def stat_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read()


def lease_threads():
    return [
        each for each in threading.enumerate() if each.name == "flwr-registry-lease"
    ]


def in_thread(work):
    found = []

    def run():
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def wait_until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)
