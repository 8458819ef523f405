"""A verb's steps run in order, and failures come back to it."""

import asyncio

import pytest

from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.registry.steps import byte_work, read, write


def run_blocking(steps, url, folder):
    with ModelRegistry(url, folder) as opened:
        return opened._run(steps)


def run_awaited(steps, url, folder):
    async def work():
        async with AsyncModelRegistry(url, folder) as opened:
            return await opened._run(steps)

    return asyncio.run(work())


@pytest.fixture(params=[run_blocking, run_awaited])
def run(request, database_url, tmp_path):
    return lambda steps: request.param(steps, database_url, tmp_path / "weights")


def test_each_step_is_sent_its_result(run):
    def steps():
        one = yield from read(lambda session: 1)
        two = yield from write(lambda session: one + 1)
        return (yield from byte_work(lambda: two + 1))

    assert run(steps()) == 3


@pytest.mark.parametrize("step", [read, write, lambda work: byte_work(lambda: work(0))])
def test_a_failure_is_raised_where_the_step_stands(run, step):
    def fail(_):
        raise LookupError("gone")

    def steps():
        try:
            yield from step(fail)
        except LookupError as error:
            undone = f"undone: {error}"
        return (yield from byte_work(lambda: undone))

    assert run(steps()) == "undone: gone"


def test_what_a_verb_does_not_catch_reaches_its_caller(run):
    def steps():
        yield from byte_work(lambda: [][0])

    with pytest.raises(IndexError):
        run(steps())


def test_a_verb_without_steps_returns(run):
    def steps():
        return 7
        yield

    assert run(steps()) == 7
