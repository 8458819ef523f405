"""A checkpoint holds enough: the next round from it is that of the run, bit for bit."""

import numpy as np
import pytest
from federation.canonical import canonical
from federation.catalogue import one_entry_of_each_kind
from federation.entries import MessageSetup
from federation.in_process_grid import InProcessGrid, to_record
from federation.legacy_federation import OrderedServer, federate
from federation.outcome import Play, play
from flwr.app import ConfigRecord
from flwr.common import Parameters, ndarrays_to_parameters

from flwr_registry import CheckpointManager, RegistryStrategy
from flwr_registry.checkpointing import restore_random_state
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.strategy.state.importing import import_state
from flwr_registry.strategy.state.plain_state import StrategyState

ROUNDS = 3


def recorded(entry, tmp_path):
    """Run an entry and return its checkpoints."""

    def wrap(strategy):
        return RegistryStrategy(
            strategy,
            registry=tmp_path / "registry.db",
            run="trial",
            on_error="warn" if entry.unregistrable else "raise",
        )

    play(entry, Play(rounds=ROUNDS, wrap=wrap))
    return CheckpointManager(LocalStorageBackend(tmp_path), "trial")


def continue_from(entry, checkpoint):
    """Train one more round with a strategy that was built anew; return its model."""
    setup = entry.make()
    entry.prepare(setup.strategy)
    state = StrategyState(checkpoint.content.state, checkpoint.content.state_arrays)
    import_state(setup.strategy, state)
    server_round = checkpoint.content.server_round + 1
    if isinstance(setup, MessageSetup):
        return message_round(setup, checkpoint, server_round)
    return legacy_round(setup, checkpoint, server_round)


def message_round(setup, checkpoint, server_round):
    grid = InProcessGrid(setup.clients)
    arrays = to_record(checkpoint.weights)
    restore_random_state(checkpoint.content.random_state)
    messages = setup.strategy.configure_train(
        server_round, arrays, ConfigRecord({"lr": 0.1}), grid
    )
    replies = grid.send_and_receive(messages)
    model, _ = setup.strategy.aggregate_train(server_round, replies)
    return canonical(model or arrays)


def legacy_round(setup, checkpoint, server_round):
    manager, _ = federate(setup.clients, setup.tensor_format, setup.initial)
    server = OrderedServer(client_manager=manager, strategy=setup.strategy)
    server.parameters = to_parameters(checkpoint.weights)
    restore_random_state(checkpoint.content.random_state)
    result = server.fit_round(server_round, timeout=None)
    return canonical((result and result[0]) or server.parameters)


def to_parameters(weights):
    if weights.opaque:
        return Parameters([array.tobytes() for array in weights.values()], "")
    return ndarrays_to_parameters([np.asarray(array) for array in weights.values()])


@pytest.fixture(autouse=True)
def _generators_are_left_as_they_were():
    import random

    before = random.getstate(), np.random.get_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])


# A workflow has no next round by itself, so none is among these kinds.
@pytest.mark.slow
@one_entry_of_each_kind
def test_the_next_round_from_a_checkpoint_is_that_of_the_run(entry, tmp_path):
    manager = recorded(entry, tmp_path)
    if entry.unregistrable:
        assert manager.rounds() == []
        return
    assert manager.rounds() == [1, 2, 3]
    before, after = manager.load_round(ROUNDS - 1), manager.load_round(ROUNDS)
    continued = continue_from(entry, before)
    expected = (
        to_record(after.weights)
        if entry.api == "message"
        else to_parameters(after.weights)
    )
    assert continued[-1] == canonical(expected)[-1]
