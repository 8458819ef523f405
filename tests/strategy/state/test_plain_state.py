"""State out and in again, through JSON."""

import random
import threading
from collections import defaultdict, deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from federation.state_samples import (
    VALUES,
    Boxed,
    Frozen,
    History,
    Keeper,
    Phase,
    Plain,
    same,
    through_json,
)
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import ndarrays_to_parameters
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
)
from hypothesis import given

from flwr_registry.errors import CheckpointError
from flwr_registry.strategy.state.exporting import beginning_of, export_state
from flwr_registry.strategy.state.importing import import_state


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


@given(VALUES)
def test_a_users_attribute_comes_back_exactly(value):
    strategy, fresh = Keeper(), Keeper()
    strategy.memory = value
    state = export_state(strategy)
    assert state.left_out == ()
    import_state(fresh, through_json(state))
    assert same(fresh.memory, value)


def test_flowers_own_records_come_back_bit_for_bit():
    strategy, fresh = FedAvg(), FedAvg()
    strategy.arrays = ArrayRecord([np.arange(3.0), np.asfortranarray(np.ones((2, 3)))])
    strategy.metrics = MetricRecord({"a": 1, "b": [0.5]})
    strategy.config = ConfigRecord({"x": b"\x00", "y": "z"})
    strategy.parameters = ndarrays_to_parameters([np.ones(2)])
    import_state(fresh, through_json(export_state(strategy)))
    assert [each.data for each in fresh.arrays.values()] == [
        each.data for each in strategy.arrays.values()
    ]
    assert fresh.arrays["0"] == strategy.arrays["0"]
    assert (fresh.metrics, fresh.config) == (strategy.metrics, strategy.config)
    assert fresh.parameters == strategy.parameters


def test_nested_strategies_accountants_and_generators():
    def make():
        made = DifferentialPrivacyServerSideFixedClipping(FedAdam(), 1.0, 1.0, 2)
        made.accountant = Accountant()
        made.random = random.Random(3)
        made.generator = np.random.default_rng(3)
        return made

    strategy, fresh = make(), make()
    strategy.strategy.m_t = {"w": np.arange(3.0)}
    strategy.accountant.events.append(7)
    strategy.random.random()
    strategy.generator.random()
    import_state(fresh, through_json(export_state(strategy)))
    assert fresh.strategy.m_t["w"].tolist() == [0, 1, 2]
    assert fresh.accountant.events == [7]
    assert fresh.random.random() == strategy.random.random()
    assert fresh.generator.random() == strategy.generator.random()


def test_one_array_held_twice_is_stored_once():
    strategy = FedAvg()
    strategy.first = strategy.second = np.ones(3)
    assert len(export_state(strategy).arrays) == 1


def test_what_no_checkpoint_can_hold_is_named():
    strategy = FedAvg()
    strategy.lock = object()
    strategy.nested = {"deep": [object()]}
    assert export_state(strategy).left_out == ("lock", "nested")


def test_functions_stay_the_users():
    fresh = FedAvg(train_metrics_aggr_fn=lambda *_: MetricRecord())
    mine = fresh.train_metrics_aggr_fn
    import_state(fresh, through_json(export_state(FedAvg())))
    assert fresh.train_metrics_aggr_fn is mine


def test_a_state_that_does_not_fit_says_so():
    strategy = DifferentialPrivacyServerSideFixedClipping(FedAvg(), 1.0, 1.0, 2)
    plain = FedAvg()
    with pytest.raises(CheckpointError, match="build the strategy as it was"):
        import_state(plain, through_json(export_state(strategy)))


def carried(make, change, **attributes):
    """Build, change, and put the state into another that is built the same way."""
    strategy, fresh = make(), make()
    beginning = beginning_of(strategy)
    change(strategy)
    state = export_state(strategy, beginning=beginning)
    import_state(fresh, through_json(state))
    return strategy, fresh, state


class Trainer(Keeper):
    """Trains a network of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        layers = torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.1)
        self.network = torch.nn.Sequential(*layers)
        self.scale = torch.nn.Parameter(torch.ones(3))
        self.optimizers = {
            "network": torch.optim.Adam(self.network.parameters(), lr=0.1),
            "scale": torch.optim.SGD([self.scale], lr=0.1, momentum=0.9),
        }
        adam = self.optimizers["network"]
        self.schedules = (
            torch.optim.lr_scheduler.OneCycleLR(adam, 0.1, total_steps=20),
            torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizers["scale"]),
        )
        self.generator = torch.Generator().manual_seed(1)
        self.losses = []

    def step(self):
        given = torch.randn(4, 3, generator=self.generator)
        loss = (self.network(given) * self.scale).square().sum()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.schedules[0].step()
        self.schedules[1].step(loss.item())
        self.losses.append(loss.item())
        return loss.item()


def test_networks_optimizers_and_schedules_train_on_as_if_nothing_had_happened():
    def change(strategy):
        for _ in range(3):
            strategy.step()
        strategy.network[0].eval()
        strategy.network[1].bias.requires_grad_(False)

    strategy, fresh, state = carried(Trainer, change)
    assert (state.left_out, state.late) == ((), ())
    assert not fresh.network[0].training and fresh.network[1].training
    assert not fresh.network[1].bias.requires_grad
    drawn = torch.get_rng_state()
    expected = [strategy.step() for _ in range(3)]
    torch.set_rng_state(drawn)
    assert [fresh.step() for _ in range(3)] == expected


def test_tied_parameters_are_stored_once_and_stay_tied():
    def make():
        strategy = Keeper()
        strategy.network = torch.nn.Sequential(
            torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        )
        strategy.network[1].weight = strategy.network[0].weight
        return strategy

    strategy, fresh, state = carried(make, lambda s: s.network[0].weight.data.fill_(3))
    assert len(state.arrays) == 3
    assert fresh.network[1].weight is fresh.network[0].weight
    assert torch.equal(fresh.network[1].weight, strategy.network[0].weight)


def test_an_object_that_came_up_in_training_is_told_and_refused():
    def change(strategy):
        strategy.network = torch.nn.Linear(2, 2)

    strategy = Keeper()
    beginning = beginning_of(strategy)
    change(strategy)
    state = export_state(strategy, beginning=beginning)
    assert state.late == ("network",)
    with pytest.raises(CheckpointError, match=r"network .*Linear.*constructor"):
        import_state(Keeper(), through_json(state))


def test_another_optimizer_is_refused_with_both_names():
    def make(kind):
        strategy = Keeper()
        strategy.optimizer = kind([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        return strategy

    state = through_json(export_state(make(torch.optim.SGD)))
    with pytest.raises(CheckpointError, match=r"SGD.*Adam"):
        import_state(make(torch.optim.Adam), state)


BITS = (np.random.SFC64, np.random.Philox, np.random.PCG64DXSM, np.random.MT19937)


@pytest.mark.parametrize("there_are_some", [True, False])
def test_generators_of_every_kind_draw_on(there_are_some):
    def make():
        strategy = Keeper()
        strategy.generators = []
        if there_are_some:
            draw_from(strategy)
        return strategy

    def draw_from(strategy):
        of = [np.random.Generator(bits(seed)) for seed, bits in enumerate(2 * BITS)]
        states = [np.random.RandomState(3), np.random.RandomState(np.random.SFC64(4))]
        strategy.generators[:] = [*of, *states, random.Random(5)]
        strategy.generators.append(torch.Generator().manual_seed(6))

    def change(strategy):
        if not there_are_some:
            draw_from(strategy)
        draw(strategy)

    def draw(strategy):
        *others, of_torch = strategy.generators
        drawn = [each.random() for each in others]
        return [*drawn, float(torch.rand(1, generator=of_torch))]

    strategy, fresh, _ = carried(make, change)
    assert draw(fresh) == draw(strategy)


def test_contents_go_into_the_containers_that_are_there():
    def make():
        strategy = Keeper()
        strategy.seen = defaultdict(lambda: [0])
        strategy.window, strategy.history = deque(maxlen=2), History()
        strategy.plain, strategy.boxed = Plain(), Boxed()
        strategy.outside = (strategy.seen, strategy.window, strategy.plain.seen)
        return strategy

    def change(strategy):
        strategy.seen["a"].append(1)
        strategy.window.extend((1, 2, 3))
        list.append(strategy.history, 4)
        strategy.plain.seen.append(5)
        strategy.boxed["b"] = 6

    _, fresh, _ = carried(make, change)
    assert fresh.seen == {"a": [0, 1]} and fresh.seen["new"] == [0]
    assert fresh.window == deque([2, 3], maxlen=2) and fresh.window.maxlen == 2
    assert type(fresh.history) is History and fresh.history[0] == 4
    assert fresh.boxed["b"] == 6
    assert fresh.outside[0] is fresh.seen and fresh.outside[1] is fresh.window
    assert fresh.outside[2] is fresh.plain.seen and fresh.plain.seen == [5]


def test_what_is_one_object_stays_one_and_circles_end():
    def change(strategy):
        strategy.shared = strategy.again = [1]
        strategy.array = strategy.same_array = np.ones(2)
        strategy.circle = {"self": None}
        strategy.circle["self"] = strategy.circle
        strategy.box = Plain(seen=strategy)
        strategy.nested = [[strategy.shared], Frozen(1, strategy.shared)]
        strategy.endless = ([],)
        strategy.endless[0].append(strategy.endless)
        deep = []
        for _ in range(5000):
            deep = [deep]
        strategy.deep = deep

    _, fresh, state = carried(Keeper, change)
    assert fresh.again is fresh.shared is fresh.nested[0][0] is fresh.nested[1].seen
    assert fresh.array is fresh.same_array
    assert fresh.circle["self"] is fresh.circle
    assert fresh.box.seen is fresh
    assert state.left_out == ("endless", "deep")


def test_what_stays_what_it_was_is_a_setting_also_in_a_dataclass():
    strategy, fresh = Keeper(), Keeper()
    strategy.config, fresh.config = Frozen(1, 2), Frozen(5, 6)
    strategy.phase, fresh.phase = Phase.WARM, Phase.COLD
    strategy.folder, fresh.folder = Path("a"), Path("b")
    beginning = beginning_of(strategy)
    strategy.config = Frozen(1, 3)
    import_state(fresh, through_json(export_state(strategy, beginning=beginning)))
    assert fresh.config == Frozen(5, 3)
    assert (fresh.phase, fresh.folder) == (Phase.COLD, Path("b"))


class Opaque:
    """What only pickle could store."""

    def __init__(self):
        self.means = np.zeros(3)
        self.inner = SimpleNamespace(count=0, lock=threading.Lock())


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.means.__iadd__(1),
        lambda it: setattr(it.inner, "count", 1),
        lambda it: setattr(it, "more", 1),
    ],
)
def test_only_what_changed_is_named(change):
    strategy = Keeper()
    strategy.scaler, strategy.steady = Opaque(), Opaque()
    strategy.folder, strategy.lock = Path("a"), threading.Lock()
    beginning = beginning_of(strategy)
    assert export_state(strategy, beginning=beginning).left_out == ()
    change(strategy.scaler)
    assert export_state(strategy, beginning=beginning).left_out == ("scaler",)
    strategy.steady = Opaque()
    assert export_state(strategy, beginning=beginning).left_out == ("scaler",)


class OnClass(Keeper):
    rounds = 0
    limit = 5
    seen: list = []  # noqa: RUF012
    box = Opaque()


def test_what_changed_on_the_class_comes_back_to_the_class(monkeypatch):
    for name, value in (("rounds", 0), ("seen", []), ("box", Opaque())):
        monkeypatch.setattr(OnClass, name, value)
    strategy = OnClass()
    beginning = beginning_of(strategy)
    OnClass.rounds += 2
    OnClass.seen.append(1)
    OnClass.box.means += 1
    state = through_json(export_state(strategy, beginning=beginning))
    assert state.left_out == ("OnClass.box",)
    OnClass.rounds, OnClass.limit = 0, 7
    OnClass.seen.clear()
    held = OnClass.seen
    import_state(OnClass(), state)
    assert (OnClass.rounds, OnClass.limit, OnClass.seen) == (2, 7, [1])
    assert OnClass.seen is held


def test_a_state_dict_that_fails_costs_that_attribute_alone():
    class Broken:
        def state_dict(self):
            raise RuntimeError("not now")

        def load_state_dict(self, state):
            raise AssertionError

    strategy = Keeper()
    strategy.broken, strategy.rounds = Broken(), [1]
    state = export_state(strategy)
    assert state.left_out == ("broken",)
    assert state.tree["rounds"] == [1]


@pytest.mark.parametrize(
    "node",
    [
        {"$object": {"args": "x"}, "$class": "subprocess:Popen"},
        {"$object": {}, "$class": "os:system"},
        {"$object": {}, "$class": "federation.state_samples:Nothing"},
        {"$enum": "PIPE", "$class": "subprocess:Popen"},
        {"$dict": [], "$class": "collections:OrderedDict.__class__"},
        {"$unheard-of": 1},
        {"$Decimal": "no number"},
        {"$array": "missing"},
        {"$same": 9},
    ],
)
def test_a_forged_tree_makes_nothing_run(node):
    state = type(export_state(Keeper()))({"memory": node, "$format": 2}, {})
    with pytest.raises(CheckpointError):
        import_state(Keeper(), state)


def test_a_tree_of_the_first_release_is_read():
    fresh = Keeper()
    fresh.window, fresh.seen = deque(maxlen=2), defaultdict(list)
    tree = {
        "window": {"$deque": [1, 2]},
        "seen": {"$dict": [["a", [1]]]},
        "pair": {"$tuple": [1, {"$float": "nan"}]},
        "array": {"$array": "a0"},
    }
    import_state(fresh, type(export_state(fresh))(tree, {"a0": np.ones(2)}))
    assert (fresh.window.maxlen, list(fresh.window)) == (2, [1, 2])
    assert type(fresh.seen) is defaultdict and fresh.seen == {"a": [1]}
    assert fresh.array.tolist() == [1, 1]
