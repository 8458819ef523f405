"""Writers do jobs in order, one at a time, and keep no error to themselves."""

import subprocess
import sys
import threading
import time

import pytest

from flwr_registry.errors import WriteTimeoutError
from flwr_registry.strategy.writing import background_writer
from flwr_registry.strategy.writing.background_writer import (
    Awaited,
    BackgroundWriter,
    Job,
)


def job(work, action="work"):
    return Job(action, work)


def failing(error):
    def work():
        raise error

    return job(work)


@pytest.fixture
def writer():
    return BackgroundWriter(30)


def test_jobs_are_done_in_order(writer):
    done = []
    for number in range(100):
        writer.submit(job(lambda number=number: done.append(number)))
    writer.drain()
    assert done == list(range(100))


def test_an_error_is_raised_once(writer):
    with pytest.raises(OSError, match="full"):
        writer.submit(failing(OSError("full")))
        writer.drain()
    writer.submit(job(lambda: None))
    assert writer.drain() >= 0


def test_waiting_raises_nothing(writer):
    writer.submit(failing(OSError("full")))
    assert writer.wait() >= 0


def test_a_job_may_wait_for_the_writer_it_runs_in(writer):
    writer.submit(job(writer.wait))
    writer.drain()


def test_jobs_after_one_that_failed_are_done():
    writer, done, go = BackgroundWriter(30), [], threading.Event()
    writer.submit(job(go.wait))
    writer.submit(failing(OSError("first")))
    writer.submit(failing(OSError("second")))
    writer.submit(job(lambda: done.append(1)))
    go.set()
    assert writer.wait() >= 0
    assert done == [1]
    with pytest.raises(OSError, match="first"):
        writer.submit(job(lambda: done.append(2)))
    assert done == [1]


def test_it_goes_on_meanwhile():
    writer, go = BackgroundWriter(30), threading.Event()
    writer.submit(job(go.wait))
    writer.submit(job(lambda: None))
    go.set()
    assert writer.drain() < 10


def test_its_thread_ends_when_idle_and_comes_again(monkeypatch):
    monkeypatch.setattr(background_writer, "_IDLE_SECONDS", 0.01)
    writer, threads = BackgroundWriter(30), []
    for _ in range(2):
        writer.submit(job(lambda: threads.append(threading.current_thread())))
        writer.drain()
        threads[-1].join(10)
        assert not threads[-1].is_alive()
    assert len(set(threads)) == 2


def test_no_job_is_lost_between_two_lives_of_the_thread(monkeypatch):
    monkeypatch.setattr(background_writer, "_IDLE_SECONDS", 0.0)
    writer, done = BackgroundWriter(30), []
    for number in range(300):
        writer.submit(job(lambda number=number: done.append(number)))
        time.sleep(0.0001 * (number % 3))
    writer.drain()
    assert done == list(range(300))


@pytest.mark.slow
def test_a_signal_handler_may_wait_for_it():
    code = """
import signal, sys, time
from flwr_registry.strategy.writing.background_writer import BackgroundWriter, Job
writer, done = BackgroundWriter(30), []
def handle(*_):
    writer.wait()
    done.append("alarm")
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
end = time.monotonic() + 1
while time.monotonic() < end:
    writer.submit(Job("work", lambda: None))
signal.setitimer(signal.ITIMER_REAL, 0)
writer.drain()
print(len(done) > 10)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (found.stdout.strip(), found.stderr) == ("True", "")


@pytest.mark.slow
def test_what_is_left_is_done_before_the_process_ends(tmp_path):
    code = f"""
import pathlib, time
from flwr_registry.strategy.writing.background_writer import BackgroundWriter, Job
writer = BackgroundWriter(30)
writer.submit(Job("rest", lambda: time.sleep(0.3)))
writer.submit(Job("touch", lambda: pathlib.Path({str(tmp_path / "done")!r}).touch()))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (tmp_path / "done").exists()


@pytest.mark.slow
def test_a_wait_ends_and_the_next_one_is_brief(caplog):
    writer, go, done = BackgroundWriter(0.5), threading.Event(), []
    writer.submit(job(go.wait, "save the model of round 1"))
    writer.submit(job(lambda: done.append(1)))
    began = time.monotonic()
    with pytest.raises(WriteTimeoutError, match="save the model of round 1 takes"):
        writer.wait()
    assert writer.is_overdue
    assert "training waits: to save the model of round 1 takes 1 s" in caplog.text
    patient = BackgroundWriter(3600)
    patient.submit(job(go.wait))
    with pytest.raises(WriteTimeoutError):
        patient.wait(at_most_seconds=0.1)
    with pytest.raises(WriteTimeoutError):
        patient.wait()
    assert time.monotonic() - began < 30
    go.set()
    writer.drain()
    patient.drain()
    assert done == [1]
    assert not writer.is_overdue


def test_a_job_that_rests_is_woken_by_who_waits_for_it():
    writer, seen = BackgroundWriter(30), []

    def rest():
        seen.append(writer.awaited)
        writer.pause(3600)
        seen.append(writer.awaited)

    writer.submit(job(rest))
    while not seen:
        time.sleep(0.001)
    writer.wait(Awaited.BY_NEXT_MODEL)
    assert seen == [Awaited.BY_NOBODY, Awaited.BY_NEXT_MODEL]
    assert writer.awaited is Awaited.BY_NOBODY


@pytest.mark.slow
def test_a_job_that_never_ends_does_not_hold_up_the_end_of_the_process():
    code = """
import threading
from flwr_registry.strategy.writing.background_writer import BackgroundWriter, Job
writer = BackgroundWriter(0.1)
writer.submit(Job("save the model of round 1", threading.Event().wait))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0
    assert "the process ends before all is written" in found.stderr
