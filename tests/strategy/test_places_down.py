"""Storage or database fail, stall or answer late: training is what it would be bare."""

import logging
import threading
import time
from pathlib import Path

import pytest
from federation.catalogue import find
from federation.outcome import Play, play

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager
from flwr_registry.errors import RegistryError
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

ROUNDS = 5
DIAGONAL = pytest.mark.parametrize(
    ("api", "durability"), [("message", "sync"), ("legacy", "background")]
)
BOTH = pytest.mark.parametrize("api", ["message", "legacy"])


class Faulty:
    """A storage that does what a test wants before each operation.

    Attributes
    ----------
    count : int
        Operations so far.
    """

    def __init__(self, root: Path, fault) -> None:
        self._below = LocalStorageBackend(root)
        self._fault = fault
        self.count = 0

    @property
    def url(self):
        return self._below.url

    def _before(self, verb, key):
        self.count += 1
        self._fault(self.count, verb, key)

    def save(self, key, content):
        self._before("save", key)
        return self._below.save(key, content)

    def create(self, key, content):
        self._before("create", key)
        return self._below.create(key, content)

    def load(self, key, *, max_bytes=None):
        self._before("load", key)
        return self._below.load(key, max_bytes=max_bytes)

    def open(self, key):
        self._before("open", key)
        return self._below.open(key)

    def delete(self, key):
        self._before("delete", key)
        self._below.delete(key)

    def exists(self, key):
        self._before("exists", key)
        return self._below.exists(key)

    def list(self, prefix):
        self._before("list", prefix)
        return self._below.list(prefix)


def run(api, **options):
    def wrap(strategy):
        options.setdefault("timeout_seconds", 1)
        return RegistryStrategy(strategy, model="digits", run="trial", **options)

    began = time.monotonic()
    outcome = play(find(f"{api}-FedAdam"), Play(wrap=wrap, rounds=ROUNDS))
    return outcome, time.monotonic() - began


@pytest.fixture(scope="module")
def bare():
    return {
        api: play(find(f"{api}-FedAdam"), Play(rounds=ROUNDS))
        for api in ("message", "legacy")
    }


@pytest.fixture
def released():
    """Ends what a test let stall."""
    event = threading.Event()
    yield event
    event.set()


def rounds_of(database):
    with ModelRegistry(database) as registry:
        return [each.server_round for each in registry.list("digits")[::-1]]


@DIAGONAL
def test_a_storage_that_never_answers(
    api, durability, database, tmp_path, bare, released, caplog
):
    storage = Faulty(tmp_path, lambda *_: released.wait())
    outcome, seconds = run(
        api, registry=database, storage=storage, durability=durability
    )
    assert outcome == bare[api]
    assert seconds < 30
    assert "the storage is down since" in caplog.text
    assert "rounds 1 to 5" in caplog.text or api == "legacy"
    assert rounds_of(database) == []


@DIAGONAL
@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        SystemExit(3),
        KeyboardInterrupt(),
        RuntimeError("503 Slow Down"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_storage_that_raises_whatever_it_likes(
    api, durability, error, database, tmp_path, bare, caplog
):
    def fault(*_):
        raise error

    storage = Faulty(tmp_path, fault)
    outcome, seconds = run(
        api, registry=database, storage=storage, durability=durability
    )
    assert outcome == bare[api]
    assert seconds < 30
    assert "the storage is down since" in caplog.text
    assert caplog.text.count("is down since") < 30


@DIAGONAL
def test_a_storage_that_comes_back(api, durability, database, tmp_path, bare, caplog):
    is_down = []

    def fault(_, verb, key):
        if verb == "save" and key.startswith("models/digits/1.1.0"):
            is_down.append(time.monotonic())
        if is_down and time.monotonic() < is_down[0] + 3:
            raise ConnectionResetError(104, "Connection reset by peer")

    storage = Faulty(tmp_path, fault)
    outcome, _ = run(api, registry=database, storage=storage, durability=durability)
    assert outcome == bare[api]
    assert rounds_of(database)[0] == 1


@BOTH
def test_a_single_fault_costs_no_version(api, database, tmp_path, bare, caplog):
    caplog.set_level(logging.INFO, "flwr")
    calm = Faulty(tmp_path / "calm", lambda *_: None)
    run(api, registry=database, storage=calm)
    first = 1 if api == "message" else 4
    for number in range(first, calm.count + 1, 7):
        place = tmp_path / f"fault-{number}"
        caplog.clear()
        hit = []

        def fault(count, verb, key, number=number, hit=hit):
            if count == number:
                hit.append(key)
                raise ConnectionResetError(104, f"reset while {verb} {key}")

        url = f"sqlite:///{place}.db"
        storage = Faulty(place, fault)
        outcome, _ = run(api, registry=url, storage=storage, timeout_seconds=10)
        assert outcome == bare[api]
        assert rounds_of(url) == [1, 2, 3, 4, 5], number
        # A run is held in the database too, which is enough.
        is_told = "reset while" in caplog.text
        assert is_told or hit[0].startswith("leases/"), hit
        manager = CheckpointManager(LocalStorageBackend(place), "trial")
        assert manager.rounds() == [3, 4, 5], number


class Silent(ModelRegistry):
    """A user's registry, whose verbs never end from some moment on."""

    silent = False
    released = None

    def _run(self, steps):
        if self.silent:
            self.released.wait()
        return super()._run(steps)


@pytest.mark.parametrize(
    ("api", "durability", "from_start"),
    [("legacy", "background", True), ("message", "sync", False)],
)
def test_a_registry_of_the_users_that_never_answers(
    api, durability, from_start, database, bare, released, caplog
):
    with Silent(database) as registry:
        registry.released = released
        registry.silent = from_start

        def wrap(strategy):
            inner = type(strategy)

            class Silencing(inner):
                def configure_train(self, server_round, *args):
                    registry.silent = registry.silent or server_round == 3
                    return super().configure_train(server_round, *args)

                def configure_fit(self, server_round, *args):
                    registry.silent = registry.silent or server_round == 3
                    return super().configure_fit(server_round, *args)

            strategy.__class__ = Silencing
            return RegistryStrategy(
                strategy,
                registry=registry,
                model="digits",
                durability=durability,
                timeout_seconds=1,
            )

        began = time.monotonic()
        outcome = play(find(f"{api}-FedAdam"), Play(wrap=wrap, rounds=ROUNDS))
        seconds = time.monotonic() - began
        registry.silent = False
    assert outcome == bare[api]
    assert seconds < 30
    assert "training waits" in caplog.text
    assert "raise timeout_seconds if storage or database is only slow" in caplog.text


@DIAGONAL
def test_a_database_that_cannot_be_opened_costs_little(
    api, durability, tmp_path, bare, caplog
):
    (tmp_path / "registry.db").write_bytes(b"no database " * 100)
    outcome, seconds = run(
        api, registry=f"sqlite:///{tmp_path / 'registry.db'}", durability=durability
    )
    assert outcome == bare[api]
    assert seconds < 30
    assert "the database is down since the start" in caplog.text
    manager = CheckpointManager(LocalStorageBackend(tmp_path), "trial")
    assert manager.rounds() == [3, 4, 5]


def test_raise_ends_training_by_an_ordinary_error(database, tmp_path):
    def fault(*_):
        raise SystemExit(3)

    storage = Faulty(tmp_path, fault)
    with pytest.raises((RegistryError, RuntimeError), match="SystemExit"):
        run("message", registry=database, storage=storage, on_error="raise")
