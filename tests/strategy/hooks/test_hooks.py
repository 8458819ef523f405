"""Hooks are recorded wherever they come from, and called as they would be bare."""

import asyncio
import inspect
import logging
import random
from functools import partial, wraps
from types import MethodType

import pytest
from federation.clients import NumpyClients, floating_model
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAdam, FedAvg, Result

from flwr_registry import ModelRegistry, RegistryStrategy

ROUNDS = 2


def start(strategy, **options):
    random.seed(7)
    grid = InProcessGrid(NumpyClients())
    return strategy.start(
        grid, to_record(floating_model()), num_rounds=ROUNDS, **options
    )


def counted(database):
    with ModelRegistry(database) as registry:
        return len(registry.list())


def _times_out(calls, function):
    @wraps(function)
    def timed(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)

    return timed


@pytest.mark.parametrize(
    ("hook", "place", "when"),
    [
        ("start", "object", "before"),
        ("start", "wrapper", "after"),
        ("configure_train", "object", "after"),
        ("aggregate_train", "object", "before"),
        ("aggregate_train", "object", "after"),
        ("aggregate_train", "wrapper", "after"),
        ("aggregate_evaluate", "wrapper", "before"),
    ],
)
def test_a_hook_that_is_assigned_is_recorded(place, when, hook, database):
    calls = []

    def assign(target):
        setattr(target, hook, _times_out(calls, getattr(target, hook)))

    strategy = FedAvg()
    if when == "before":
        assign(strategy)
    wrapped = RegistryStrategy(strategy, registry=database, on_error="raise")
    if when == "after":
        assign(strategy if place == "object" else wrapped)
    start(wrapped)
    assert calls == [hook] * (1 if hook == "start" else ROUNDS)
    assert counted(database) == ROUNDS
    assert set(vars(strategy)) - set(vars(FedAvg())) == {hook}


def test_a_hook_patched_on_the_class_later_is_recorded(database, monkeypatch):
    class Own(FedAvg):
        pass

    wrapped = RegistryStrategy(Own(), registry=database, on_error="raise")
    calls = []
    monkeypatch.setattr(
        Own, "aggregate_train", _times_out(calls, FedAvg.aggregate_train), raising=False
    )
    start(wrapped)
    assert (len(calls), counted(database)) == (ROUNDS, ROUNDS)


def test_a_hook_that_is_deleted_gives_way_to_that_of_the_class(database):
    strategy = FedAvg()
    wrapped = RegistryStrategy(strategy, registry=database, on_error="raise")
    wrapped.aggregate_train = lambda *args: (None, None)
    del wrapped.aggregate_train
    assert "aggregate_train" not in vars(strategy)
    start(wrapped)
    assert counted(database) == ROUNDS


def test_a_hook_that_changes_during_the_run_is_recorded(database):
    class Switches(FedAvg):
        def configure_train(self, server_round, *args):
            if server_round == 2:
                self.aggregate_train = partial(FedAvg.aggregate_train, self)
            return super().configure_train(server_round, *args)

    wrapped = RegistryStrategy(Switches(), registry=database, on_error="raise")
    start(wrapped)
    assert counted(database) == ROUNDS


class NamedOtherwise(FedAvg):
    """Has names of its own for arguments, and more of them."""

    def configure_train(self, rnd, model, config, grid, *, extra=1, **more):
        self.extra = extra
        return super().configure_train(rnd, model, config, grid)

    def aggregate_train(self, *args, scale=1.0):
        return super().aggregate_train(*args)

    def start(self, grid, initial_arrays, num_rounds, **named):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(
                rnd=current, model=arrays, config=ConfigRecord(), grid=grid, extra=2
            )
            replies = grid.send_and_receive(messages)
            arrays, _ = self.aggregate_train(current, replies, scale=2.0)
        return Result(arrays=arrays)


def test_arguments_of_other_names_and_more(database):
    wrapped = RegistryStrategy(NamedOtherwise(), registry=database, on_error="raise")
    start(wrapped)
    assert (wrapped.extra, counted(database)) == (2, ROUNDS)
    assert inspect.signature(wrapped.configure_train) == inspect.signature(
        NamedOtherwise().configure_train
    )


class Awaited(FedAvg):
    """Its hooks and its loop are coroutines."""

    async def configure_train(self, server_round, arrays, config, grid):
        await asyncio.sleep(0)
        return super().configure_train(server_round, arrays, config, grid)

    async def aggregate_train(self, server_round, replies):
        await asyncio.sleep(0)
        return super().aggregate_train(server_round, replies)

    async def start(self, grid, initial_arrays, num_rounds=3):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            asked = await self.configure_train(current, arrays, ConfigRecord(), grid)
            replies = grid.send_and_receive(asked)
            arrays, _ = await self.aggregate_train(current, replies)
        return Result(arrays=arrays)


def test_coroutines_are_recorded_when_they_are_awaited(database):
    bare = asyncio.run(start(Awaited()))
    wrapped = RegistryStrategy(
        Awaited(), registry=database, run="trial", on_error="raise"
    )
    assert asyncio.run(start(wrapped)).arrays == bare.arrays
    assert counted(database) == ROUNDS
    again = RegistryStrategy(
        Awaited(), registry=database, run="trial", on_error="raise", resume=True
    )
    assert asyncio.run(start(again)).arrays == bare.arrays


class OneByOne(FedAvg):
    """Yields its messages, which its loop asks for one by one."""

    def configure_train(self, server_round, arrays, config, grid):
        yield from super().configure_train(server_round, arrays, config, grid)

    def start(self, grid, initial_arrays, num_rounds=3, **_):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            first = grid.send_and_receive([next(messages)])
            rest = grid.send_and_receive(messages)
            arrays, _ = self.aggregate_train(current, iter([*first, *rest]))
        return Result(arrays=arrays)


def test_a_generator_stays_one(database):
    wrapped = RegistryStrategy(OneByOne(), registry=database, on_error="raise")
    start(wrapped)
    with ModelRegistry(database) as registry:
        versions = registry.list()
        assert len(versions) == ROUNDS
        assert {each.num_clients for each in versions} == {7}


class Recursive(FedAvg):
    """Aggregates in halves, by its own hook."""

    def aggregate_train(self, server_round, replies, halves=True):
        replies = list(replies)
        if halves:
            self.aggregate_train(server_round, replies[:3], halves=False)
        return super().aggregate_train(server_round, replies)


def test_a_hook_that_calls_itself_is_one_hook(database):
    wrapped = RegistryStrategy(Recursive(), registry=database, on_error="raise")
    start(wrapped)
    assert counted(database) == ROUNDS


class Handing:
    """Hands all on to a strategy, its loop included."""

    def __init__(self, strategy):
        self.strategy = strategy

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.strategy, name)


def test_a_loop_of_another_strategy_is_told_at_once(database, caplog):
    wrapped = RegistryStrategy(Handing(FedAdam()), registry=database)
    with caplog.at_level(logging.WARNING, "flwr"):
        result = start(wrapped)
    assert result.arrays == start(FedAdam()).arrays
    (line,) = [each for each in caplog.messages if "nothing is registered" in each]
    assert "wrap the strategy whose hooks it calls" in line
    inside = Handing(RegistryStrategy(FedAdam(), registry=database, on_error="raise"))
    start(inside)
    assert counted(database) == ROUNDS


@pytest.mark.slow
def test_methods_of_an_object_know_the_wrapper_or_the_strategy(database):
    strategy = FedAvg()
    strategy.seen = []

    def aggregate(self, server_round, replies):
        self.seen.append(server_round)
        return FedAvg.aggregate_train(self, server_round, replies)

    wrapped = RegistryStrategy(strategy, registry=database, on_error="raise")
    strategy.aggregate_train = MethodType(aggregate, strategy)
    start(wrapped)
    wrapped.aggregate_train = MethodType(aggregate, wrapped)
    start(wrapped)
    assert strategy.seen == [1, 2, 1, 2]
    assert counted(database) == 2 * ROUNDS
