"""Servers that aggregate past the strategy: nothing false is recorded, it is told."""

import logging
import random

import numpy as np
import pytest
from federation.clients import NODE_IDS, NumpyClients, floating_model
from federation.faults import Fault, FaultKind
from federation.in_process_grid import InProcessGrid, to_record
from federation.legacy_clients import NumpyFormat
from federation.legacy_federation import OrderedServer, federate
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg, Result

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import CheckpointManager

ROUNDS = 3


class OwnServer(OrderedServer):
    """Averages by itself."""

    seen_rounds = range(0)

    def fit_round(self, server_round, timeout):
        if server_round in self.seen_rounds:
            return super().fit_round(server_round, timeout)
        asked = self.strategy.configure_fit(
            server_round, self.parameters, self._client_manager
        )
        results = [(proxy, proxy.fit(ins, None, server_round)) for proxy, ins in asked]
        models = [parameters_to_ndarrays(res.parameters) for _, res in results]
        mean = [np.mean(arrays, axis=0) for arrays in zip(*models, strict=True)]
        return ndarrays_to_parameters(mean), {}, (results, [])


class LaterOwnServer(OwnServer):
    """Averages by itself from round 2 on."""

    seen_rounds = range(1, 2)


def run_legacy(server_class, strategy):
    random.seed(7)
    model = floating_model()
    tensors = NumpyFormat(tuple(model))
    manager, _ = federate(NumpyClients(), tensors, model)
    server = server_class(client_manager=manager, strategy=strategy)
    history, _ = server.fit(ROUNDS, timeout=None)
    return server.parameters, history


def legacy_strategy(**options):
    initial = ndarrays_to_parameters(list(floating_model().values()))
    return LegacyFedAvg(initial_parameters=initial, **options)


class OwnAggregate(FedAvg):
    """Has a loop and an aggregation of other names."""

    def average(self, replies):
        records = [reply.content["arrays"] for reply in replies]
        return ArrayRecord(
            {
                name: type(first)(np.mean([r[name].numpy() for r in records], axis=0))
                for name, first in records[0].items()
            }
        )

    def ask(self, server_round, arrays, grid):
        asked = self.configure_train(server_round, arrays, ConfigRecord(), grid)
        return grid.send_and_receive(asked)

    def start(self, grid, initial_arrays, num_rounds=3, evaluate_fn=None):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            arrays = self.average(self.ask(current, arrays, grid))
            if evaluate_fn:
                evaluate_fn(current, arrays)
        return Result(arrays=arrays)


class OtherNames(OwnAggregate):
    """Calls no hook of Flower's at all."""

    def ask(self, server_round, arrays, grid):
        asked = FedAvg.configure_train(
            FedAvg(), server_round, arrays, ConfigRecord(), grid
        )
        return grid.send_and_receive(asked)


def told(caplog):
    return [each for each in caplog.messages if "ModelRegistry.register" in each]


@pytest.mark.parametrize("evaluated", [True, False])
@pytest.mark.parametrize("kind", [OwnAggregate, OtherNames])
def test_a_loop_that_aggregates_itself(kind, evaluated, database, tmp_path, caplog):
    grid = InProcessGrid(NumpyClients())
    wrapped = RegistryStrategy(kind(), registry=database, run="trial")
    with caplog.at_level(logging.WARNING, "flwr"):
        wrapped.start(
            grid,
            to_record(floating_model()),
            num_rounds=ROUNDS,
            evaluate_fn=(lambda r, _: MetricRecord({"a": float(r)}))
            if evaluated
            else None,
        )
    (line,) = told(caplog)
    assert "aggregate_train" in line
    assert ("round 1" in line) is (evaluated or kind is OwnAggregate)
    with ModelRegistry(database) as registry:
        assert registry.list() == []
        assert CheckpointManager(registry.storage, "trial").rounds() == []


def test_a_server_that_aggregates_itself(database, caplog):
    bare, _ = run_legacy(OwnServer, legacy_strategy())
    wrapped = RegistryStrategy(legacy_strategy(), registry=database, run="trial")
    with caplog.at_level(logging.WARNING, "flwr"):
        found, _ = run_legacy(OwnServer, wrapped)
        wrapped.initialize_parameters(None)
    assert found == bare
    (line,) = told(caplog)
    assert "round 1" in line
    assert "strategy.aggregate_fit" in line
    with ModelRegistry(database) as registry:
        assert registry.list() == []
        assert CheckpointManager(registry.storage, "trial").rounds() == []


def test_a_server_that_aggregates_itself_later(database, caplog):
    wrapped = RegistryStrategy(legacy_strategy(), registry=database, run="trial")
    with caplog.at_level(logging.WARNING, "flwr"):
        run_legacy(LaterOwnServer, wrapped)
    (line,) = told(caplog)
    assert "round 2" in line
    with ModelRegistry(database) as registry:
        assert [each.server_round for each in registry.list()] == [1]
        assert CheckpointManager(registry.storage, "trial").rounds() == [1]


class TrainsBesideEvaluating(FedAvg):
    """Asks for evaluations of a model while it is trained further."""

    def start(self, grid, initial_arrays, num_rounds=3):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            config = ConfigRecord()
            trained = self.configure_train(current, arrays, config, grid)
            measured = self.configure_evaluate(current, arrays, config, grid)
            replies = grid.send_and_receive(measured)
            arrays, _ = self.aggregate_train(current, grid.send_and_receive(trained))
            self.aggregate_evaluate(current, replies)
        return Result(arrays=arrays)


def test_loops_of_another_order_are_seen(database, caplog):
    wrapped = RegistryStrategy(
        TrainsBesideEvaluating(), registry=database, on_error="raise"
    )
    with caplog.at_level(logging.WARNING, "flwr"):
        wrapped.start(InProcessGrid(NumpyClients()), to_record(floating_model()))
    assert told(caplog) == []
    with ModelRegistry(database) as registry:
        assert len(registry.list()) == ROUNDS


def test_rounds_in_which_all_nodes_fail_are_seen(database, caplog):
    faults = [Fault(2, node_id, FaultKind.NO_REPLY) for node_id in NODE_IDS]
    wrapped = RegistryStrategy(FedAvg(), registry=database, run="trial")
    with caplog.at_level(logging.WARNING, "flwr"):
        wrapped.start(
            InProcessGrid(NumpyClients(), faults=faults), to_record(floating_model())
        )
    assert told(caplog) == []
    with ModelRegistry(database) as registry:
        assert CheckpointManager(registry.storage, "trial").rounds() == [1, 2, 3]
