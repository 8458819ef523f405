"""The awaited registry has the verbs of the blocking one, on the async drivers."""

import asyncio
import inspect
import subprocess
import sys
import threading

import numpy as np
import pytest

from flwr_registry.errors import DatabaseError, ModelNotFoundError
from flwr_registry.records import RunProvenance
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.storage import LocalStorageBackend


def verbs_of(kind):
    return {
        name: inspect.signature(verb)
        for name, verb in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }


def test_both_registries_have_the_same_verbs_and_signatures():
    assert verbs_of(ModelRegistry) == verbs_of(AsyncModelRegistry)
    assert inspect.signature(ModelRegistry) == inspect.signature(AsyncModelRegistry)


def test_every_verb_of_the_awaited_registry_is_awaited():
    for name in verbs_of(AsyncModelRegistry):
        assert inspect.iscoroutinefunction(getattr(AsyncModelRegistry, name)), name


def test_what_one_registers_the_other_reads(database_url, tmp_path, registry):
    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            run = await opened.start_run(RunProvenance("trial", "digits"))
            made = await opened.register(
                {"w": np.ones(3)}, model="digits", run=run, metrics={"loss": 0.5}
            )
            weights = await opened.load("digits@latest")
            selected = await opened.load_tensors("digits", ["w"], verify=False)
            assert selected["w"].tobytes() == weights["w"].tobytes()
            with pytest.raises(ModelNotFoundError):
                await opened.get("digits:9.9.9")
            return made, weights

    made, weights = asyncio.run(work())
    assert registry.get("digits") == made
    np.testing.assert_array_equal(weights["w"], np.ones(3))


@pytest.mark.slow
def test_many_tasks_share_one_registry(database_url, tmp_path):
    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            made = await asyncio.gather(
                *(opened.register({"w": np.full(2, n)}, model="m") for n in range(8))
            )
            return {version.version for version in made}

    assert asyncio.run(work()) == {f"1.{n}.0" for n in range(8)}


def test_a_missing_registry_is_an_error_of_the_first_verb(tmp_path):
    opened = AsyncModelRegistry(tmp_path / "none.db", create=False)
    with pytest.raises(DatabaseError, match="no registry at"):
        asyncio.run(opened.models())


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_is_our_error(tmp_path):
    async def work():
        async with AsyncModelRegistry(
            "postgresql://nobody@127.0.0.1:1/none", tmp_path
        ) as opened:
            await opened.models()

    with pytest.raises(DatabaseError, match="cannot be reached"):
        asyncio.run(work())


class SlowStorage(LocalStorageBackend):
    """A real storage whose saves wait for a signal, as a slow disk lets them."""

    def __init__(self, root):
        super().__init__(root)
        self.saving, self.go_on = threading.Event(), threading.Event()

    def save(self, key, content):
        self.saving.set()
        assert self.go_on.wait(20)
        return super().save(key, content)


def test_a_cancelled_registration_gives_its_number_back(
    database_url, tmp_path, registry, sql
):
    storage = SlowStorage(tmp_path / "weights")

    async def work():
        async with AsyncModelRegistry(database_url, storage) as opened:
            task = asyncio.create_task(
                opened.register({"w": np.ones(3)}, model="digits")
            )
            await asyncio.to_thread(storage.saving.wait, 20)
            task.cancel()
            # The thread cannot be stopped; the cancelled verb waits for it.
            await asyncio.sleep(0.05)
            assert not task.done()
            storage.go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert sql("SELECT count(*) AS count FROM uploads") == [{"count": 0}]
    assert registry.models() == []
    assert registry.register({"w": np.ones(3)}, model="digits").version == "1.0.0"


def test_byte_work_leaves_the_event_loop_free(database_url, tmp_path, registry):
    storage = SlowStorage(tmp_path / "weights")

    async def work():
        async with AsyncModelRegistry(database_url, storage) as opened:
            task = asyncio.create_task(
                opened.register({"w": np.ones(3)}, model="digits")
            )
            await asyncio.to_thread(storage.saving.wait, 20)
            assert await opened.models() == []
            storage.go_on.set()
            await task
            return await opened.models()

    assert asyncio.run(work()) == ["digits"]


@pytest.mark.slow
def test_an_awaited_registry_that_is_not_closed_lets_the_process_end(
    database_url, tmp_path, registry
):
    script = (
        "import asyncio, sys; from flwr_registry.registry import AsyncModelRegistry; "
        "opened = AsyncModelRegistry(sys.argv[1], sys.argv[2]); "
        "print(asyncio.run(opened.models()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, database_url, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout.strip() == "[]", ended.stderr
