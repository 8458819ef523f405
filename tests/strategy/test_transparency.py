"""Wrapping adds a record and changes nothing: same messages, arrays and state."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from federation.catalogue import (
    every_entry,
    every_entry_some_slow,
    find,
    one_entry_of_each_kind,
)
from federation.clients import NODE_IDS, NumpyClients, floating_model
from federation.entries import Entry
from federation.faults import Fault, FaultKind
from federation.in_process_grid import InProcessGrid, to_record
from federation.outcome import Outcome, Play, play
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'registry.db'}"


def _wrapping(folder: Path, **options: Any) -> Callable[[Any], Any]:
    def wrap(strategy: Any) -> Any:
        return RegistryStrategy(strategy, registry=_database(folder), **options)

    return wrap


def _wrapped(entry: Entry, folder: Path, **how: Any) -> Outcome:
    # Errors of the record must not hide: a wrapper that records nothing is transparent.
    on_error = "warn" if entry.unregistrable else "raise"
    return play(entry, Play(wrap=_wrapping(folder, on_error=on_error), **how))


@every_entry_some_slow
def test_a_wrapped_run_equals_the_bare_one_and_is_on_record(
    entry: Entry, tmp_path: Path
) -> None:
    assert _wrapped(entry, tmp_path) == play(entry)
    with ModelRegistry(_database(tmp_path)) as registry:
        assert bool(registry.list()) is not entry.unregistrable


@pytest.mark.slow
@one_entry_of_each_kind
def test_a_wrapped_run_equals_the_bare_one_when_nodes_fail(
    entry: Entry, tmp_path: Path
) -> None:
    faults = [
        Fault(2, NODE_IDS[1], FaultKind.ERROR, also_evaluating=True),
        Fault(2, NODE_IDS[3], FaultKind.NO_REPLY, also_evaluating=True),
        Fault(3, NODE_IDS[4], FaultKind.ERROR),
    ]
    assert _wrapped(entry, tmp_path, faults=faults) == play(entry, Play(faults=faults))


@pytest.mark.slow
@one_entry_of_each_kind
def test_a_round_in_which_every_node_fails_changes_nothing_else(
    entry: Entry, tmp_path: Path
) -> None:
    faults = [Fault(2, node_id, FaultKind.ERROR) for node_id in NODE_IDS]
    assert _wrapped(entry, tmp_path, faults=faults) == play(entry, Play(faults=faults))


@pytest.mark.slow
@one_entry_of_each_kind
def test_replies_stay_in_the_order_in_which_they_came(
    entry: Entry, tmp_path: Path
) -> None:
    bare = play(entry, Play(arrival_seed=5))
    assert _wrapped(entry, tmp_path, arrival_seed=5) == bare


@pytest.mark.slow
@pytest.mark.parametrize("name", ["message-FedAvg", "legacy-FedAvg"])
def test_sorted_replies_make_the_order_of_arrival_irrelevant(
    name: str, tmp_path: Path
) -> None:
    entry = find(name)

    def arrays(seed: int) -> object:
        wrap = _wrapping(tmp_path / str(seed), sort_replies=True)
        (tmp_path / str(seed)).mkdir()
        return play(entry, Play(wrap=wrap, arrival_seed=seed)).arrays

    assert play(entry, Play(arrival_seed=1)).arrays != play(entry).arrays
    assert len({arrays(seed) for seed in range(4)}) == 1


@every_entry
def test_a_wrapped_strategy_is_still_of_its_own_class(
    entry: Entry, tmp_path: Path
) -> None:
    inner = entry.make().strategy
    wrapped = _wrapping(tmp_path)(inner)
    assert isinstance(wrapped, type(inner))
    assert isinstance(wrapped, RegistryStrategy)
    assert not isinstance(inner, RegistryStrategy)


@every_entry
def test_attributes_are_shared_both_ways(entry: Entry, tmp_path: Path) -> None:
    inner = entry.make().strategy
    wrapped = _wrapping(tmp_path)(inner)
    # Past the guard of a frozen dataclass, as such strategies do themselves.
    is_frozen = getattr(vars(type(inner)).get("__dataclass_params__"), "frozen", False)
    put, take = (
        (object.__setattr__, object.__delattr__) if is_frozen else (setattr, delattr)
    )
    put(wrapped, "set_on_wrapper", [1])
    put(inner, "set_on_inner", {"a": 2})
    assert inner.set_on_wrapper is wrapped.set_on_wrapper
    assert wrapped.set_on_inner is inner.set_on_inner
    take(inner, "set_on_wrapper")
    assert not hasattr(wrapped, "set_on_wrapper")


def test_a_property_of_the_inner_class_still_checks(tmp_path: Path) -> None:
    inner = find("message-DynamicAttributes").make().strategy
    wrapped = _wrapping(tmp_path)(inner)
    with pytest.raises(ValueError, match="patience"):
        wrapped.patience = 0
    wrapped.patience = 9
    assert (inner.patience, wrapped.schedule) == (9, "cosine")
    with pytest.raises(AttributeError):
        _ = wrapped.no_such_attribute


class SeesReplies(FedAvg):
    """Remembers the very objects it was given."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Remember, and give no model."""
        self.seen = list(replies)
        return None, None


def test_the_inner_strategy_gets_the_very_messages_that_came(tmp_path: Path) -> None:
    """The wrapper saw no `start` and no configured round, as in a unit test."""
    wrapped = _wrapping(tmp_path)(SeesReplies())
    grid = InProcessGrid(NumpyClients())
    asked = FedAvg().configure_train(
        1, to_record(floating_model()), ConfigRecord(), grid
    )
    replies = list(grid.send_and_receive(asked))
    assert wrapped.aggregate_train(1, iter(replies)) == (None, None)
    assert [id(message) for message in wrapped.seen] == [id(m) for m in replies]
