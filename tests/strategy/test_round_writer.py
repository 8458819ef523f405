"""Writers do jobs in order, one at a time, and keep no error to themselves."""

import subprocess
import sys
import threading
import time

import pytest

from flwr_registry.strategy import round_writer
from flwr_registry.strategy.round_writer import BackgroundWriter, SyncWriter


def failing(error):
    def job():
        raise error

    return job


@pytest.fixture(params=[BackgroundWriter, SyncWriter])
def writer(request):
    return request.param()


def test_jobs_are_done_in_order(writer):
    done = []
    for number in range(100):
        writer.submit(lambda number=number: done.append(number))
    writer.drain()
    assert done == list(range(100))


def test_an_error_is_raised_once(writer):
    with pytest.raises(OSError, match="full"):
        writer.submit(failing(OSError("full")))
        writer.drain()
    writer.submit(lambda: None)
    assert writer.drain() >= 0


def test_waiting_raises_nothing(writer):
    try:
        writer.submit(failing(OSError("full")))
    except OSError:
        assert isinstance(writer, SyncWriter)
    assert writer.wait() >= 0


def test_a_job_may_wait_for_the_writer_it_runs_in(writer):
    writer.submit(writer.wait)
    writer.drain()


def test_jobs_after_one_that_failed_are_done():
    writer, done, go = BackgroundWriter(), [], threading.Event()
    writer.submit(go.wait)
    writer.submit(failing(OSError("first")))
    writer.submit(failing(OSError("second")))
    writer.submit(lambda: done.append(1))
    go.set()
    assert writer.wait() >= 0
    assert done == [1]
    with pytest.raises(OSError, match="first"):
        writer.submit(lambda: done.append(2))
    assert done == [1]


def test_it_goes_on_meanwhile():
    writer, go = BackgroundWriter(), threading.Event()
    writer.submit(go.wait)
    writer.submit(lambda: None)
    go.set()
    assert writer.drain() < 10


def test_its_thread_ends_when_idle_and_comes_again(monkeypatch):
    monkeypatch.setattr(round_writer, "_IDLE_SECONDS", 0.01)
    writer, threads = BackgroundWriter(), []
    for _ in range(2):
        writer.submit(lambda: threads.append(threading.current_thread()))
        writer.drain()
        threads[-1].join(10)
        assert not threads[-1].is_alive()
    assert len(set(threads)) == 2


def test_no_job_is_lost_between_two_lives_of_the_thread(monkeypatch):
    monkeypatch.setattr(round_writer, "_IDLE_SECONDS", 0.0)
    writer, done = BackgroundWriter(), []
    for number in range(300):
        writer.submit(lambda number=number: done.append(number))
        time.sleep(0.0001 * (number % 3))
    writer.drain()
    assert done == list(range(300))


def test_a_signal_handler_may_wait_for_it():
    code = """
import signal, sys, time
from flwr_registry.strategy.round_writer import BackgroundWriter
writer, done = BackgroundWriter(), []
def handle(*_):
    writer.wait()
    done.append("alarm")
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
end = time.monotonic() + 1
while time.monotonic() < end:
    writer.submit(lambda: None)
signal.setitimer(signal.ITIMER_REAL, 0)
writer.drain()
print(len(done) > 10)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (found.stdout.strip(), found.stderr) == ("True", "")


def test_what_is_left_is_done_before_the_process_ends(tmp_path):
    code = f"""
import pathlib, time
from flwr_registry.strategy.round_writer import BackgroundWriter
writer = BackgroundWriter()
writer.submit(lambda: time.sleep(0.3))
writer.submit(lambda: pathlib.Path({str(tmp_path / "done")!r}).touch())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (tmp_path / "done").exists()
