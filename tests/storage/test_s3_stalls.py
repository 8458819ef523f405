"""An S3 endpoint that never answers: every operation ends, and nothing of it stays."""

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import pytest
from storage.faulty_proxy import Fault, faulty_proxy
from storage.s3_servers import CREDENTIALS

from flwr_registry.errors import StorageError, StorageTimeoutError
from flwr_registry.storage import BytesContent, S3StorageBackend, bounded_storage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untouched_generators")]

TIMEOUT = 1.0
MARGIN = 5.0
PART_BYTES = 5 * 2**20
SMALL = b"small content"
LARGE = bytes(range(256)) * (13 * 2**20 // 256) + b"end"


def opened(address):
    plain = S3StorageBackend(
        f"s3://models/{uuid4().hex}",
        endpoint_url=address,
        part_bytes=PART_BYTES,
        **CREDENTIALS,
    )
    return bounded_storage(plain, TIMEOUT)


@pytest.fixture(scope="module")
def proxied(s3_endpoint):
    with faulty_proxy(s3_endpoint("seaweedfs")) as found:
        yield found


@pytest.fixture
def proxy(proxied):
    yield proxied[1]
    proxied[1].pass_all()


@pytest.fixture
def storage(proxied, proxy):
    storage = opened(proxied[0])
    for key in ("a", "b"):
        storage.storage.save(key, BytesContent(LARGE))
    return storage


@contextmanager
def within(seconds):
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds + MARGIN


def tasks_in(storage):
    """What the client's loop has still to do."""
    loop = storage.storage._fs.loop

    async def count():
        return len(asyncio.all_tasks()) - 1

    return asyncio.run_coroutine_threadsafe(count(), loop).result(10)


def eventually(holds):
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def read(storage):
    with storage.open("a") as file:
        return file.read()


OPERATIONS = {
    "save": (lambda storage: storage.save("c", BytesContent(SMALL)), 0),
    "save in parts": (lambda storage: storage.save("c", BytesContent(LARGE)), 14),
    "create": (lambda storage: storage.create("c", BytesContent(SMALL)), 0),
    "load": (lambda storage: storage.load("a"), 14),
    "open": (lambda storage: storage.open("a"), 0),
    "read": (read, 14),
    "look up": (lambda storage: storage.exists("a"), 0),
    "list": (lambda storage: storage.list(""), 0),
    "delete": (lambda storage: storage.delete("b"), 0),
    "sweep": (lambda storage: storage.sweep_unfinished(0), 0),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_stalls_ends_in_time_and_leaves_nothing(storage, proxy, operation):
    work, _ = OPERATIONS[operation]
    before = threading.active_count(), tasks_in(storage), proxy.connections
    proxy.fail_all(Fault.STALLED)
    with within(TIMEOUT), pytest.raises(StorageTimeoutError) as caught:
        work(storage)
    assert storage.url in str(caught.value)
    assert eventually(lambda: tasks_in(storage) <= before[1])
    assert eventually(lambda: proxy.connections <= before[2])
    proxy.pass_all()
    work(storage.storage)
    # The handlers of the proxy are threads too, and one of ours is waiting for work.
    assert eventually(lambda: threading.active_count() <= before[0] + 10)


STALLS_WITHIN = {
    "body": (Fault.NOT_CONTINUED, "^PUT", "save"),
    "part": (Fault.STALLED, "partNumber=2", "save in parts"),
    "body of a part": (Fault.NOT_CONTINUED, "partNumber=2", "save in parts"),
    "complete": (Fault.STALLED, r"^POST .*\?uploadId", "save in parts"),
    "range": (Fault.STALLED, "^GET .*/a$", "read"),
    "answer": (Fault.DRIPPED, "^GET .*/a$", "load"),
    "listing": (Fault.DRIPPED, "list-type", "list"),
}


@pytest.mark.parametrize("point", STALLS_WITHIN)
def test_what_stalls_on_the_way_ends_in_time(storage, proxy, point):
    fault, pattern, operation = STALLS_WITHIN[point]
    work, seconds = OPERATIONS[operation]
    before = tasks_in(storage)
    proxy.fail_all(fault, pattern)
    with within(TIMEOUT + seconds), pytest.raises(StorageTimeoutError):
        work(storage)
    assert eventually(lambda: tasks_in(storage) <= before)
    proxy.pass_all()
    work(storage.storage)
    assert eventually(lambda: storage.storage.sweep_unfinished(-60) == 0)


@pytest.mark.parametrize("fault", [Fault.STALLED, Fault.NOT_CONTINUED])
def test_one_stall_is_not_noticed(storage, proxy, fault):
    proxy.fail(fault, "^PUT", times=1)
    storage = bounded_storage(storage.storage, 4)
    storage.save("c", BytesContent(SMALL))
    assert storage.load("c") == SMALL


def test_without_a_wrapper_it_ends_too(proxied, proxy):
    storage = S3StorageBackend(
        "s3://models/x",
        endpoint_url=proxied[0],
        timeout_seconds=TIMEOUT,
        **CREDENTIALS,
    )
    proxy.fail_all(Fault.STALLED)
    with within(TIMEOUT), pytest.raises(StorageTimeoutError, match="cannot save a in"):
        storage.save("a", BytesContent(SMALL))
    with within(TIMEOUT), pytest.raises(StorageTimeoutError, match="cannot open a in"):
        storage.load("a")


def test_its_own_shorter_time_counts(proxied, proxy):
    storage = S3StorageBackend(
        "s3://models/x", endpoint_url=proxied[0], timeout_seconds=1, **CREDENTIALS
    )
    proxy.fail_all(Fault.STALLED)
    with within(TIMEOUT), pytest.raises(StorageTimeoutError):
        bounded_storage(storage, 60).exists("a")


@pytest.mark.parametrize("mode", ["refused", "unavailable"])
def test_who_refuses_everything_is_told_soon(storage, proxy, mode):
    if mode == "refused":
        proxy.refuse()
    else:
        proxy.fail_all(Fault.UNAVAILABLE)
    for operation in ("save", "load", "list"):
        with within(TIMEOUT), pytest.raises(StorageError):
            OPERATIONS[operation][0](storage)
    proxy.pass_all()
    assert storage.storage.load("a") == LARGE


ENDS_BESIDE_A_STALL = """
import sys, threading
from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage import BytesContent, bounded_storage
from flwr_registry.storage import S3StorageBackend

options = {"endpoint_url": sys.argv[1], "key": "k", "secret": "s"}
storage = S3StorageBackend("s3://models/x", **options)
storage = bounded_storage(storage, 0.5)
for work in (lambda: storage.save("a", BytesContent(bytes(20 * 2**20))),
             lambda: storage.load("a")):
    try:
        work()
    except StorageTimeoutError:
        print("given up")
threading.Thread(target=storage.exists, args=("a",), daemon=True).start()
"""


def test_the_process_ends_beside_a_stall(proxied, proxy):
    proxy.fail_all(Fault.STALLED)
    ran = subprocess.run(
        [sys.executable, "-c", ENDS_BESIDE_A_STALL, proxied[0]],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, "given up\n" * 2), ran.stderr
    assert ran.stderr == ""
