"""Back to before a rejected aggregate, whatever the strategy holds."""

import random
import threading

import numpy as np
import pytest
import torch
from federation.catalogue import find
from federation.clients import NODE_IDS
from federation.faults import Fault, FaultKind
from federation.outcome import Play, play
from federation.state_samples import VALUES, Boxed, Keeper, Plain, same, through_json
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.server.strategy import FedAvgM as LegacyFedAvgM
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
)
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry import RegistryStrategy
from flwr_registry.strategy.state import plain_state, rollback
from flwr_registry.strategy.state.exporting import export_state
from flwr_registry.strategy.state.rollback import StateSnapshot


class Accountant:
    """Offers its state as Flower's accountant does."""

    def __init__(self):
        self.events = []

    def compose(self, event):
        self.events.append(event)

    def state_dict(self):
        return {"events": list(self.events)}

    def load_state_dict(self, state):
        self.events = list(state["events"])


@given(VALUES, VALUES)
def test_rollback_brings_containers_back_in_place(value, other):
    strategy = Keeper()
    held = {"value": value, "list": [value], "array": np.arange(4.0)}
    strategy.memory = held
    snapshot = StateSnapshot(strategy)
    strategy.memory["value"] = other
    strategy.memory["list"].append(other)
    strategy.memory["array"] += 1
    strategy.new = 3
    snapshot.restore()
    assert strategy.memory is held
    assert held["value"] is value and len(held["list"]) == 1
    assert held["list"][0] is value
    assert held["array"].tolist() == [0, 1, 2, 3]
    assert not hasattr(strategy, "new")


def test_rollback_reaches_nested_strategies_but_not_what_was_spent():
    strategy = DifferentialPrivacyServerSideFixedClipping(FedAdam(), 1.0, 1.0, 2)
    strategy.accountant = Accountant()
    strategy.strategy.m_t = {"w": np.ones(3)}
    snapshot = StateSnapshot(strategy)
    strategy.strategy.m_t = {"w": np.full(3, np.nan)}
    strategy.accountant.compose("release")
    snapshot.restore()
    assert strategy.strategy.m_t["w"].tolist() == [1, 1, 1]
    assert strategy.accountant.events == ["release"]


def test_rollback_of_random_generators():
    strategy = FedAvg()
    strategy.random, strategy.generator = random.Random(1), np.random.default_rng(1)
    snapshot = StateSnapshot(strategy)
    drawn = strategy.random.random(), strategy.generator.random()
    snapshot.restore()
    assert (strategy.random.random(), strategy.generator.random()) == drawn


def test_large_arrays_of_flowers_own_strategies_are_not_copied():
    large = np.zeros(2**18)
    strategy, legacy = FedAdam(), LegacyFedAvgM()
    strategy.m_t, legacy.momentum_vector = {"w": large}, [large]
    for each in (strategy, legacy):
        snapshot = StateSnapshot(each)
        large += 1
        snapshot.restore()
        assert large[0] == 1
        large -= 1


def spoil(value, number):
    """Change in place whatever can be changed."""
    match value:
        case torch.Tensor():
            with torch.no_grad():
                value.fill_(1) if value.numel() else None
        case np.ndarray() if value.dtype.kind in "fic":
            value += number
        case dict():
            for item in list(dict.values(value)):
                spoil(item, number)
            value.clear()
        case list():
            for item in list.__iter__(value):
                spoil(item, number)
            list.clear(value)
        case tuple():
            for item in value:
                spoil(item, number)
        case Plain() | Boxed():
            spoil(vars(value), number)


@given(VALUES, st.integers(1, 9))
def test_whatever_a_round_changes_is_undone(value, number):
    strategy = Keeper()
    strategy.memory = [value, Plain(seen=value)]
    before = through_json(export_state(strategy))
    snapshot = StateSnapshot(strategy)
    spoil(strategy.memory, number)
    strategy.memory.append(number)
    snapshot.restore()
    after = through_json(export_state(strategy))
    assert after.tree == before.tree
    assert same(dict(after.arrays), dict(before.arrays))


class Scaler:
    """As scikit-learn's: no state_dict, attributes that end in an underscore."""

    __slots__ = ("mean_", "seen_")

    def __init__(self):
        self.mean_, self.seen_ = np.zeros(2), []


class Holder(Keeper):
    total = 0
    log: list = []  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.velocity = ArrayRecord({"w": Array(np.zeros(2))})
        self.metrics, self.config = MetricRecord({"a": 1}), ConfigRecord({"b": "c"})
        self.scaler, self.lock = Scaler(), threading.Lock()
        self.objects = np.array([1, [2], None], dtype=object)
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.network = torch.nn.BatchNorm1d(2)
        self.optimizer = torch.optim.Adam([self.weight, *self.network.parameters()])
        self.draws = [np.random.RandomState(1), np.random.Generator(np.random.SFC64(1))]
        self.generator = torch.Generator().manual_seed(1)

    def step(self):
        given = torch.randn(3, 2, generator=self.generator)
        self.optimizer.zero_grad()
        loss = (self.network(given) * self.weight).square().sum()
        loss.backward()
        self.optimizer.step()
        self.weight.data.mul_(2)
        drawn = [each.random() for each in self.draws]
        self.velocity["w"] = Array(np.full(2, np.nan))
        self.metrics["a"], self.config["new"] = 2, "x"
        self.scaler.mean_ += drawn[0]
        self.scaler.seen_.append(drawn[1])
        self.objects[1].append(3)
        self.objects[0] = 9
        type(self).total += 1
        Holder.log.append(1)
        return loss.item(), drawn, self.scaler.mean_.tolist(), Holder.log[:]


@pytest.fixture
def holder(monkeypatch):
    monkeypatch.setattr(Holder, "log", [])
    monkeypatch.setattr(Holder, "total", 0)
    return Holder()


def test_records_objects_tensors_and_classes_go_back(holder):
    holder.step()
    holder.velocity["w"] = Array(np.ones(2))
    snapshot = StateSnapshot(holder)
    expected = holder.step()
    snapshot.restore()
    assert holder.velocity["w"].numpy().tolist() == [1, 1]
    assert (holder.metrics["a"], "new" in holder.config) == (2, True)
    assert (Holder.total, Holder.log) == (1, [1])
    assert holder.objects.tolist() == [9, [2, 3], None]
    assert holder.step() == expected


def test_what_holds_a_handle_goes_on_with_the_world():
    class Connection:
        def __init__(self):
            self.sent, self.lock = 0, threading.Lock()

    Connection.__module__ = "elsewhere"
    strategy = Keeper()
    strategy.connection = Connection()
    snapshot = StateSnapshot(strategy)
    strategy.connection.sent = 1
    snapshot.restore()
    assert strategy.connection.sent == 1


def test_too_much_to_remember_is_told(monkeypatch, caplog):
    monkeypatch.setattr(rollback, "_MAX_VISITS", 10)
    strategy = Keeper()
    strategy.lists = [[number] for number in range(20)]
    snapshot = StateSnapshot(strategy)
    strategy.lists.append([1])
    with caplog.at_level("WARNING", "flwr"):
        snapshot.restore()
    assert len(strategy.lists) == 20
    assert "only in part" in caplog.text


STATEFUL = (
    "message-FedAvg",
    "message-FedAvgM",
    "message-FedAdam",
    "message-FedYogi",
    "message-QFedAvg",
    "message-Krum",
    "message-DifferentialPrivacyServerSideAdaptiveClipping",
    "legacy-FedAvgM",
    "legacy-FedAdam",
    "legacy-FedAdagrad",
    "legacy-QFedAvg",
    "legacy-DifferentialPrivacyServerSideAdaptiveClipping",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATEFUL)
def test_keeping_arrays_by_reference_is_as_good_as_copying_them(
    name, tmp_path, monkeypatch
):
    def rejecting(folder, small_bytes):
        monkeypatch.setattr(plain_state, "_SMALL_BYTES", small_bytes)
        wrap = lambda strategy: RegistryStrategy(  # noqa: E731
            strategy, registry=tmp_path / folder / "registry.db", on_error="raise"
        )
        faults = [Fault(2, NODE_IDS[0], FaultKind.NAN)]
        return play(find(name), Play(rounds=4, wrap=wrap, faults=faults))

    assert rejecting("referenced", -1) == rejecting("copied", 2**60)
