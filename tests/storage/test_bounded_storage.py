"""Storages that never answer: every operation ends all the same."""

import gc
import io
import pickle
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager

import pytest

from flwr_registry.errors import ObjectNotFoundError, StorageError, StorageTimeoutError
from flwr_registry.records import StoredObject
from flwr_registry.storage import (
    BytesContent,
    LocalStorageBackend,
    StorageBackend,
    SweepingStorage,
    bounded_storage,
    running_deadline,
)

pytestmark = pytest.mark.usefixtures("untouched_generators")

TIMEOUT = 0.1
MUCH_LATER = 20.0


class Frozen:
    """A storage of a stranger that blocks for ever in whatever is asked of it."""

    url = "frozen://there"

    def __init__(self):
        self.thawed = threading.Event()
        self.done = []

    def _block(self, done):
        self.thawed.wait()
        self.done.append(done)

    def save(self, key, content):
        data = b"".join(content)
        self._block("save")
        return StoredObject(key, len(data), "0" * 64)

    def load(self, key, *, max_bytes=None):
        self._block("load")
        return bytearray(b"late")

    def open(self, key):
        self._block("open")
        return FrozenFile(self)

    def delete(self, key):
        self._block("delete")

    def exists(self, key):
        self._block("exists")
        return True

    def list(self, prefix):
        yield "first"
        self._block("list")

    def sweep_unfinished(self, max_age_seconds):
        self._block("sweep")
        return 1


class FrozenFile(io.BytesIO):
    """A file that blocks for ever in what is named."""

    def __init__(self, storage, *names, data=b"0123456789"):
        super().__init__(data)
        self.storage = storage
        for name in names:
            setattr(self, name, lambda *_: storage._block(self))


class OpensFrozen(Frozen):
    def __init__(self, *names):
        super().__init__()
        self.names = names

    def open(self, key):
        return FrozenFile(self, *self.names)


OPERATIONS = {
    "save": lambda storage: storage.save("a", BytesContent(b"x")),
    "load": lambda storage: storage.load("a"),
    "open": lambda storage: storage.open("a"),
    "delete": lambda storage: storage.delete("a"),
    "look up": lambda storage: storage.exists("a"),
    "list": lambda storage: list(storage.list("a")),
    "sweep": lambda storage: storage.sweep_unfinished(1),
}


@pytest.fixture(autouse=True)
def little_grace(monkeypatch):
    threads = "flwr_registry.storage.operation_threads"
    monkeypatch.setattr(f"{threads}._GRACE_SECONDS", TIMEOUT)


@contextmanager
def soon():
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < MUCH_LATER


@pytest.fixture
def frozen():
    storage = Frozen()
    yield storage
    storage.thawed.set()


def waiting_threads():
    return [
        each for each in threading.enumerate() if each.name == "flwr-registry-storage"
    ]


def eventually(holds):
    end = time.monotonic() + MUCH_LATER
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


@pytest.mark.parametrize("verb", OPERATIONS)
def test_what_never_answers_is_given_up(frozen, verb):
    storage = bounded_storage(frozen, TIMEOUT)
    with (
        soon(),
        pytest.raises(
            StorageTimeoutError, match=rf"cannot {verb} .* 0\.1\d* s"
        ) as caught,
    ):
        OPERATIONS[verb](storage)
    assert "frozen://there" in str(caught.value)
    assert "timeout_seconds" in str(caught.value)
    assert caught.value.key == ("" if verb == "sweep" else "a")


@pytest.mark.parametrize("name", ["read", "readinto", "seek"])
def test_a_file_that_stalls_is_given_up_and_nothing_more_asked_of_it(name):
    stranger = OpensFrozen(name)
    storage = bounded_storage(stranger, TIMEOUT)
    reads = {
        "read": lambda file: file.read(3),
        "readinto": lambda file: file.readinto(bytearray(3)),
        "seek": lambda file: file.seek(0, 2),
    }
    before = len(waiting_threads())
    with soon(), storage.open("a") as file:
        for _ in range(20):
            with pytest.raises(StorageTimeoutError, match="cannot read a in frozen"):
                reads[name](file)
    assert len(waiting_threads()) - before <= 2
    stranger.thawed.set()


@pytest.mark.slow
def test_a_file_whose_end_stalls_does_not_hold_up_its_reader():
    stranger = OpensFrozen("close")
    with soon(), bounded_storage(stranger, TIMEOUT).open("a") as file:
        assert file.read() == b"0123456789"
    stranger.thawed.set()


def test_a_file_that_drips_is_given_up():
    class Dripping(FrozenFile):
        def readinto(self, buffer):
            time.sleep(TIMEOUT / 5)
            buffer[0] = 0
            return 1

    class Drips(Frozen):
        def open(self, key):
            return Dripping(self)

    with (
        soon(),
        bounded_storage(Drips(), TIMEOUT).open("a") as file,
        pytest.raises(StorageTimeoutError),
    ):
        file.readinto(bytearray(1_000_000))


def test_a_list_that_stalls_after_a_while_is_given_up_whole(frozen):
    with pytest.raises(StorageTimeoutError):
        bounded_storage(frozen, TIMEOUT).list("")


def test_few_operations_are_stuck_at_a_time(frozen):
    storage = bounded_storage(frozen, 0.01)
    before = len(waiting_threads())
    for _ in range(30):
        with soon(), pytest.raises(StorageTimeoutError):
            storage.exists("a")
    assert len(waiting_threads()) - before <= 9
    begin = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StorageTimeoutError):
            storage.exists("a")
    assert time.monotonic() - begin < MUCH_LATER / 2
    frozen.thawed.set()
    eventually(lambda: not storage._threads._calls._unanswered)
    assert storage.exists("a")
    assert list(storage.list("")) == ["first"]


@pytest.mark.slow
def test_a_stuck_operation_holds_up_no_other(tmp_path):
    class StuckAtOne(LocalStorageBackend):
        frozen = Frozen()

        def exists(self, key):
            if key == "one":
                self.frozen._block("exists")
            return super().exists(key)

    storage = bounded_storage(StuckAtOne(tmp_path), 1)
    with pytest.raises(StorageTimeoutError):
        storage.exists("one")
    storage.save("two", BytesContent(b"x"))
    assert storage.exists("two")
    StuckAtOne.frozen.thawed.set()


def test_what_comes_late_is_closed_and_let_go_of():
    class Late(Frozen):
        def open(self, key):
            super().open(key)
            self.file = FrozenFile(self)
            return self.file

    stranger = Late()
    with pytest.raises(StorageTimeoutError):
        bounded_storage(stranger, TIMEOUT).open("a")
    stranger.thawed.set()
    eventually(lambda: hasattr(stranger, "file") and stranger.file.closed)


def test_a_save_that_was_given_up_never_becomes_durable_late(tmp_path):
    thawed, ended = threading.Event(), threading.Event()

    class Slow:
        size_bytes = 2

        def __iter__(self):
            yield memoryview(b"a")
            thawed.wait()
            yield memoryview(b"b")

    class Watched(LocalStorageBackend):
        def save(self, key, content):
            try:
                return super().save(key, content)
            finally:
                ended.set()

    storage = bounded_storage(Watched(tmp_path), TIMEOUT)
    with pytest.raises(StorageTimeoutError):
        storage.save("a", Slow())
    thawed.set()
    assert ended.wait(MUCH_LATER)
    assert list(storage.list("")) == []


def test_a_long_save_has_more_time_than_a_short_one():
    class Slow(Frozen):
        def save(self, key, content):
            data = b"".join(content)
            time.sleep(TIMEOUT * 8)
            return StoredObject(key, len(data), "0" * 64)

    storage = bounded_storage(Slow(), TIMEOUT)
    assert storage.save("a", BytesContent(bytes(2 * 2**20))).size_bytes == 2 * 2**20
    with pytest.raises(StorageTimeoutError):
        storage.save("a", BytesContent(b"x"))


def test_a_storage_may_ask_for_the_time_that_its_bytes_take():
    class Slow(Frozen):
        def load(self, key, *, max_bytes=None):
            running_deadline().allow_bytes(2 * 2**20)
            time.sleep(TIMEOUT * 8)
            return bytearray(b"slow")

    assert bounded_storage(Slow(), TIMEOUT).load("a") == b"slow"


def test_errors_come_as_they_are(tmp_path):
    class Failing(LocalStorageBackend):
        def exists(self, key):
            raise TimeoutError("mine")

        def delete(self, key):
            raise KeyboardInterrupt

    storage = bounded_storage(Failing(tmp_path), 5)
    with pytest.raises(TimeoutError, match="mine"):
        storage.exists("a")
    with pytest.raises(KeyboardInterrupt):
        storage.delete("a")
    with pytest.raises(ObjectNotFoundError):
        storage.open("a")


def test_nothing_that_failed_is_kept_alive():
    class Content(BytesContent):
        __slots__ = ("__weakref__",)

    class Failing(Frozen):
        def save(self, key, content):
            raise StorageError("full")

    storage, content = bounded_storage(Failing(), 5), Content(b"x" * 1000)
    seen = weakref.ref(content)
    gc.disable()
    try:
        with pytest.raises(StorageError) as caught:
            storage.save("a", content)
        del content, caught
        eventually(lambda: seen() is None)
    finally:
        gc.enable()


def test_the_same_thread_works_again_and_ends_when_there_is_no_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("flwr_registry.bounded_calls._IDLE_SECONDS", TIMEOUT)
    seen = set()

    class Watched(LocalStorageBackend):
        def exists(self, key):
            seen.add(threading.get_ident())
            return super().exists(key)

    storage = bounded_storage(Watched(tmp_path), 5)
    for _ in range(50):
        storage.exists("a")
    assert len(seen) == 1
    (worker,) = seen
    eventually(lambda: worker not in {each.ident for each in threading.enumerate()})
    assert not storage.exists("a")


def test_what_a_storage_can_do_is_seen(tmp_path):
    class Plain:
        """No more than a storage has to do."""

        url = "plain://"
        save = load = open = delete = exists = list = Frozen.exists

    assert isinstance(bounded_storage(LocalStorageBackend(tmp_path)), SweepingStorage)
    assert isinstance(bounded_storage(Plain()), StorageBackend)
    assert not isinstance(bounded_storage(Plain()), SweepingStorage)


def test_nothing_is_wrapped_twice_and_the_shorter_time_counts(tmp_path):
    plain = LocalStorageBackend(tmp_path)
    storage = bounded_storage(plain, 5)
    assert bounded_storage(storage, 60) is storage
    shorter = bounded_storage(storage, 2)
    assert (shorter.storage, shorter.timeout_seconds) == (plain, 2)
    assert (repr(storage), storage.url) == (repr(plain), plain.url)


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_time_is_more_than_nothing(tmp_path, wrong):
    with pytest.raises(ValueError, match="timeout_seconds"):
        bounded_storage(LocalStorageBackend(tmp_path), wrong)


def test_for_ever_is_a_time_too(tmp_path):
    assert not bounded_storage(LocalStorageBackend(tmp_path), float("inf")).exists("a")


def test_it_goes_with_a_pickle(tmp_path):
    storage = pickle.loads(
        pickle.dumps(bounded_storage(LocalStorageBackend(tmp_path), 5))
    )
    assert storage.timeout_seconds == 5
    assert not storage.exists("a")


ENDS_WITH_STUCK_THREADS = """
import threading
from flwr_registry.errors import StorageTimeoutError
from flwr_registry.storage import bounded_storage

class Frozen:
    url = "frozen://"
    def exists(self, key):
        threading.Event().wait()

storage = bounded_storage(Frozen(), 0.05)
for _ in range(3):
    try:
        storage.exists("a")
    except StorageTimeoutError:
        print("given up")
"""


@pytest.mark.slow
def test_the_process_ends_whatever_is_stuck():
    ran = subprocess.run(
        [sys.executable, "-c", ENDS_WITH_STUCK_THREADS],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, "given up\n" * 3), ran.stderr
