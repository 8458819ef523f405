"""An awaited verb that is cancelled at any of its steps takes back what it began."""

import asyncio
import gc

import numpy as np
import pytest
from sqlalchemy import make_url, text

from flwr_registry.records import BytesState, Severity
from flwr_registry.registry import AsyncModelRegistry
from flwr_registry.registry.database.async_database import AsyncDatabase
from flwr_registry.retention import LatestN

MOST_STEPS = 40


class Interrupted(AsyncModelRegistry):
    """Cancels the task of a verb while one of its steps is under way."""

    def interrupt(self, task, at_step, *, ends_first, times):
        self._left, self._ends_first, self._times = at_step, ends_first, times
        self._task = task

    async def _done(self, step):
        is_this_one = self._task is not None and self._left == 0
        self._left -= 1
        if not is_this_one:
            return await super()._done(step)
        loop = asyncio.get_running_loop()
        if self._ends_first:
            result = await super()._done(step)
            self._task.cancel()
            return result
        for repeated in range(self._times):
            loop.call_later(0.001 * repeated, self._task.cancel)
        return await super()._done(step)

    _task = None
    _left = 0


@pytest.fixture(params=[(False, 3), (True, 1)], ids=["during", "after"])
def cancelled(request, database_url, tmp_path):
    """Yield what cancels a verb at one step after another, and looks what is left."""
    ends_first, times = request.param

    async def each_step(verb, check):
        async with Interrupted(database_url, tmp_path / "weights") as opened:
            await opened.models()
            for at_step in range(MOST_STEPS):
                ready = await verb(opened, at_step)
                task = asyncio.ensure_future(ready)
                opened.interrupt(task, at_step, ends_first=ends_first, times=times)
                await asyncio.wait({task})
                is_over = opened._left >= 0
                opened.interrupt(None, 0, ends_first=False, times=0)
                await check(opened, at_step, task)
                if is_over:
                    assert not task.cancelled() and task.exception() is None
                    return
                assert task.cancelled()
        raise AssertionError("the verb has no end")

    return lambda verb, check: asyncio.run(each_step(verb, check))


async def in_use(opened):
    """Return the keys of all weights, and those that versions have."""
    listed = await asyncio.to_thread(lambda: set(opened.storage.list("models")))
    versions = await opened.list()
    return listed, {each.storage_path for each in versions if not each.bytes_removed_at}


def test_a_registration_leaves_a_whole_version_or_nothing(cancelled, sql):
    async def verb(opened, at_step):
        return opened.register({"w": np.full(3, at_step)}, model=f"m{at_step}")

    async def check(opened, at_step, task):
        assert sql("SELECT count(*) AS uploads FROM uploads") == [{"uploads": 0}]
        listed, used = await in_use(opened)
        assert listed == used
        versions = await opened.list(f"m{at_step}")
        after = await opened.register({"other": np.ones(2)}, model=f"m{at_step}")
        assert after.version == ("2.0.0" if versions else "1.0.0")

    cancelled(verb, check)


@pytest.mark.slow
def test_a_bundle_comes_in_whole_or_not(cancelled, sql, registry, add, tmp_path):
    add(1)
    registry.export("digits", tmp_path / "bundle", to="bundle")

    async def verb(opened, at_step):
        return opened.import_bundle(tmp_path / "bundle", model=f"m{at_step}")

    async def check(opened, at_step, task):
        assert sql("SELECT count(*) AS uploads FROM uploads") == [{"uploads": 0}]
        listed, used = await in_use(opened)
        assert listed == used
        again = await opened.import_bundle(tmp_path / "bundle", model=f"m{at_step}")
        assert again.version == "1.0.0"

    cancelled(verb, check)


@pytest.mark.slow
def test_other_verbs_can_be_said_again(cancelled, registry, add):
    for value in range(5):
        add(value, parent=f"1.{value - 1}.0" if value else None)

    async def verb(opened, at_step):
        async def several():
            await opened.promote("digits:1.4.0")
            await opened.verify("digits")
            await opened.gc(LatestN(2), grace_seconds=0)

        return several()

    async def check(opened, at_step, task):
        assert (await opened.verify("digits:1.4.0")).state is BytesState.SOUND
        if not task.cancelled():
            findings = await opened.doctor()
            assert [f for f in findings if f.severity is Severity.ERROR] == []

    cancelled(verb, check)


def test_a_cancelled_write_is_undone_without_a_word(database_url, caplog):
    def work(session):
        for _ in range(1000):
            session.execute(text("SELECT 1"))

    async def cancel():
        database = AsyncDatabase(make_url(database_url))
        writing = asyncio.ensure_future(database.write(work))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.wait({writing})
        await database.close()
        return writing.cancelled()

    assert asyncio.run(cancel())
    gc.collect()
    # asyncio logs an error that nobody looked at once its task is thrown away.
    assert [each.message for each in caplog.records if each.name == "asyncio"] == []
