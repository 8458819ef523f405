"""One federation from seed to end, as a value that compares bit for bit."""

import gc
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord

from federation.canonical import Canonical, canonical, public_state
from federation.entries import Entry, LegacySetup, MessageSetup
from federation.faults import Fault
from federation.in_process_grid import InProcessGrid, to_record
from federation.legacy_federation import OrderedServer, federate
from federation.workflow_federation import WorkflowGrid, play_workflow

__all__ = ["Outcome", "Play", "play"]


@dataclass(frozen=True)
class Outcome:
    """All that a run shows to the outside.

    Attributes
    ----------
    sent : tuple
        Every message to a node and every call of the central evaluation, in order.
    arrays : tuple
        The final model.
    metrics : tuple
        Flower's `Result` or `History`, less the model.
    random_state : tuple
        Python's and numpy's global generators after the run.
    strategy_state : tuple
        The strategy's attributes, those of nested strategies included.
    """

    sent: Canonical
    arrays: Canonical
    metrics: Canonical
    random_state: Canonical
    strategy_state: Canonical


@dataclass(frozen=True)
class Play:
    """How to run an entry.

    Attributes
    ----------
    wrap : callable
        Makes the strategy that runs from the entry's own; the default runs it bare.
    faults : iterable of Fault
        Which nodes fail, and when.
    arrival_seed : int or None
        Shuffles the replies of each round; None keeps the order of the messages.
    """

    rounds: int = 3
    seed: int = 7
    wrap: Callable[[Any], Any] = lambda strategy: strategy
    faults: Iterable[Fault] = ()
    arrival_seed: int | None = None


def play(entry: Entry, how: Play | None = None) -> Outcome:
    """Run an entry from a fresh setup; the global generators are put back after it."""
    how = how or Play()
    with _seeded(how.seed):
        setup = entry.make()
        strategy = how.wrap(setup.strategy)
        entry.prepare(strategy)
        if isinstance(setup, MessageSetup):
            sent, arrays, metrics = _play_message(setup, strategy, how)
        elif setup.workflow is not None:
            sent, arrays, metrics = _play_workflow(setup, strategy, how)
        else:
            sent, arrays, metrics = _play_legacy(setup, strategy, how)
        state = canonical((random.getstate(), np.random.get_state()))
        return Outcome(sent, arrays, metrics, state, public_state(strategy))


def _play_message(
    setup: MessageSetup, strategy: Any, how: Play
) -> tuple[Canonical, Canonical, Canonical]:
    grid = InProcessGrid(
        setup.clients, faults=how.faults, arrival_seed=how.arrival_seed
    )

    def evaluate_fn(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        grid.sent.append(("evaluate_fn", server_round, canonical(arrays)))
        total = float(sum(np.abs(array.numpy()).sum() for array in arrays.values()))
        return None if server_round == 2 else MetricRecord({"central_loss": total})

    result = strategy.start(
        grid=grid,
        initial_arrays=to_record(setup.initial),
        num_rounds=how.rounds,
        train_config=ConfigRecord({"lr": 0.1}),
        evaluate_config=ConfigRecord({"batch-size": 8}),
        evaluate_fn=evaluate_fn,
    )
    arrays = vars(result).pop("arrays")
    return tuple(grid.sent), canonical(arrays), canonical(vars(result))


def _play_legacy(
    setup: LegacySetup, strategy: Any, how: Play
) -> tuple[Canonical, Canonical, Canonical]:
    manager, traffic = federate(
        setup.clients, setup.tensor_format, setup.initial, faults=how.faults
    )
    server = OrderedServer(
        client_manager=manager, strategy=strategy, arrival_seed=how.arrival_seed
    )
    history, _ = server.fit(how.rounds, timeout=None)
    return (
        tuple(traffic.grid.sent),
        canonical(server.parameters),
        canonical(vars(history)),
    )


def _play_workflow(
    setup: LegacySetup, strategy: Any, how: Play
) -> tuple[Canonical, Canonical, Canonical]:
    assert setup.workflow is not None
    grid = WorkflowGrid(
        setup.clients,
        setup.initial,
        secure=setup.secure,
        faults=how.faults,
        arrival_seed=how.arrival_seed,
    )
    model, history = play_workflow(setup.workflow, strategy, grid, how.rounds)
    return tuple(grid.sent), canonical(model), canonical(vars(history))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    # Flower collects garbage for each record it drains: spare it all older objects.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        random.setstate(before[0])
        np.random.set_state(before[1])
