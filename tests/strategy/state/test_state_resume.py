"""Strategies that carry torch, generators and containers go on bit for bit."""

import logging

import numpy as np
import pytest
import torch
from federation.clients import NODE_IDS
from federation.faults import Fault, FaultKind
from federation.outcome import Play, play
from federation.stateful_strategies import STATEFUL_ENTRIES, reset_classes

from flwr_registry import RegistryStrategy

pytestmark = pytest.mark.slow

ROUNDS = 5


@pytest.fixture(autouse=True)
def _as_in_new_processes():
    before = torch.get_rng_state()
    yield
    torch.set_rng_state(before)
    reset_classes()


def run(entry, folder, rounds=ROUNDS, **play_options):
    """Run an entry as a new process would; return its outcome and its strategy."""
    held = []

    def wrap(strategy):
        wrapped = RegistryStrategy(
            strategy,
            registry=str(folder / "registry.db"),
            run="trial",
            on_error="raise",
            resume="auto",
        )
        held.append(wrapped)
        return wrapped

    reset_classes()
    torch.manual_seed(9)
    outcome = play(entry, Play(rounds=rounds, wrap=wrap, **play_options))
    return outcome, held[0], torch.get_rng_state()


@pytest.mark.parametrize("entry", STATEFUL_ENTRIES, ids=str)
def test_an_interrupted_run_equals_the_whole(entry, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "flwr"):
        whole, carrier, drawn = run(entry, tmp_path / "whole")
        run(entry, tmp_path / "parts", rounds=2)
        parts, other, drawn_in_parts = run(entry, tmp_path / "parts")
    assert "registry:" not in caplog.text
    assert parts.arrays == whole.arrays
    assert parts.metrics == whole.metrics
    assert parts.random_state == whole.random_state
    assert torch.equal(drawn_in_parts, drawn)
    assert (carrier.steps, other.steps) == (ROUNDS, ROUNDS)
    assert other.progress == carrier.progress
    assert type(other.by_round).__name__ == "defaultdict"
    assert other.window.maxlen == 2


@pytest.mark.parametrize("entry", STATEFUL_ENTRIES, ids=str)
def test_a_rejected_round_leaves_nothing_behind(entry, tmp_path):
    faults = [Fault(3, node, FaultKind.NAN) for node in NODE_IDS]
    _, carrier, _ = run(entry, tmp_path, rounds=3, faults=faults)
    assert [each.server_round for each in carrier.progress.rounds] == [1, 2]
    assert (carrier.steps, carrier.seen, carrier.counts.total()) == (2, [1, 2], 2)
    (step,) = {float(each["step"]) for each in carrier.optimizer.state.values()}
    assert (step, carrier.schedule.last_epoch) == (2.0, 2)
    assert np.isfinite(carrier.window).all() and len(carrier.by_round["of 1"]) == 2
