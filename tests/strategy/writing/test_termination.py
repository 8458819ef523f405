"""SIGTERM saves the last finished round where Flower has no handler of its own."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from federation.catalogue import find
from federation.outcome import Play, play

import flwr_registry
from flwr_registry import CheckpointManager, ModelRegistry, RegistryStrategy
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.strategy.writing.termination import Termination

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])
SERVER = """
import os, signal, sys
from federation.catalogue import find
from federation.outcome import Play, play
from flwr_registry import RegistryStrategy

api, place, before = sys.argv[1:]

def handler(number, frame):
    print("the user's handler", number == signal.SIGTERM, flush=True)
    sys.exit(7)

signal.signal(
    signal.SIGTERM,
    {"default": signal.SIG_DFL, "ignored": signal.SIG_IGN, "python": handler}[before],
)

def wrap(strategy):
    inner = type(strategy)

    class Terminated(inner):
        def configure_evaluate(self, server_round, *args, **named):
            if server_round == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().configure_evaluate(server_round, *args, **named)

    strategy.__class__ = Terminated
    return RegistryStrategy(
        strategy,
        registry=place + "/registry.db",
        run="trial",
        model="digits",
        checkpoint_every=100,
    )

play(find(api + "-FedAdam"), Play(wrap=wrap, rounds=4))
print("trained to the end", flush=True)
"""


def serve(api, place, before):
    """Run a plain Python server that gets SIGTERM in its third round."""
    tests = Path(__file__).parents[2]
    package = Path(flwr_registry.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{tests}"}
    return subprocess.run(
        [sys.executable, "-c", SERVER, api, str(place), before],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def checkpoints(place):
    return CheckpointManager(LocalStorageBackend(place), "trial").rounds()


@BOTH
def test_the_process_ends_by_the_signal_and_the_last_round_is_saved(api, tmp_path):
    ended = serve(api, tmp_path, "default")
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert "trained to the end" not in ended.stdout
    assert checkpoints(tmp_path) == [2]
    with ModelRegistry(tmp_path / "registry.db") as registry:
        assert len(registry.list("digits")) == 3


@BOTH
def test_a_handler_of_the_users_is_called_after_ours(api, tmp_path):
    ended = serve(api, tmp_path, "python")
    assert ended.returncode == 7, ended.stderr
    assert "the user's handler True" in ended.stdout
    assert checkpoints(tmp_path) == [2]


@BOTH
def test_who_ignores_the_signal_goes_on_ignoring_it(api, tmp_path):
    ended = serve(api, tmp_path, "ignored")
    assert ended.returncode == 0, ended.stderr
    assert "trained to the end" in ended.stdout


@pytest.fixture(autouse=True)
def nobody_else_has_anything_to_save():
    """Let go of legacy strategies of earlier tests, whose end nobody told."""
    gc.collect()


def run(api, database, at_evaluation=None, **options):
    """Run; return the handlers that were there in the evaluation of each round."""
    seen = []

    def wrap(strategy):
        inner = type(strategy)

        class Looking(inner):
            def configure_evaluate(self, server_round, *args, **named):
                seen.append(signal.getsignal(signal.SIGTERM))
                if at_evaluation is not None:
                    at_evaluation()
                return super().configure_evaluate(server_round, *args, **named)

        strategy.__class__ = Looking
        return RegistryStrategy(
            strategy, registry=database, model="digits", run="trial", **options
        )

    play(find(f"{api}-FedAdam"), Play(wrap=wrap))
    return seen


@BOTH
def test_handlers_are_as_they_were_after_a_run(api, database):
    before = signal.getsignal(signal.SIGTERM)
    seen = run(api, database)
    assert {type(each).__module__ for each in seen} == {Termination.__module__}
    assert signal.getsignal(signal.SIGTERM) == before


@BOTH
def test_handlers_are_as_they_were_after_an_exception(api, database):
    before = signal.getsignal(signal.SIGTERM)

    def fail():
        raise ValueError("in the user's own code")

    with pytest.raises(ValueError, match="own code"):
        run(api, database, at_evaluation=fail)
    # Nobody tells a legacy strategy that its run is over, and its last job may run yet.
    until = time.monotonic() + 20
    while signal.getsignal(signal.SIGTERM) != before and time.monotonic() < until:
        gc.collect()
        time.sleep(0.05)
    assert signal.getsignal(signal.SIGTERM) == before


def test_handlers_are_as_they_were_when_an_unsaved_legacy_strategy_is_gone(database):
    before = signal.getsignal(signal.SIGTERM)
    run("legacy", database, checkpoint_every=100)
    gc.collect()
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_than_the_main_one_changes_no_handler(database):
    before, seen = signal.getsignal(signal.SIGTERM), []
    thread = threading.Thread(target=lambda: seen.extend(run("message", database)))
    thread.start()
    thread.join()
    assert seen == [before] * 3


class Saver:
    """Counts how often it is asked to save."""

    def __init__(self):
        self.saved = 0

    def save(self):
        self.saved += 1


@pytest.fixture
def user_handler():
    """Give the calls of a handler that is there before ours."""
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    yield calls
    signal.signal(signal.SIGTERM, before)


def test_each_of_several_runs_is_saved_once(user_handler):
    handlers, first, second = Termination(), Saver(), Saver()
    before = signal.getsignal(signal.SIGTERM)
    for saver in (first, second, first):
        handlers.add(saver.save)
    signal.raise_signal(signal.SIGTERM)
    assert (first.saved, second.saved, user_handler) == (1, 1, [1])
    handlers.remove(first.save)
    signal.raise_signal(signal.SIGTERM)
    assert (first.saved, second.saved, user_handler) == (1, 2, [1, 1])
    del second
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_calls_ours_stays(user_handler):
    handlers, saver = Termination(), Saver()
    handlers.add(saver.save)
    ours = signal.getsignal(signal.SIGTERM)

    def outer(*given):
        ours(*given)

    signal.signal(signal.SIGTERM, outer)
    handlers.remove(saver.save)
    assert signal.getsignal(signal.SIGTERM) is outer
    signal.raise_signal(signal.SIGTERM)
    assert (saver.saved, user_handler) == (0, [1])
    handlers.add(saver.save)
    signal.raise_signal(signal.SIGTERM)
    handlers.remove(saver.save)
    assert (saver.saved, user_handler) == (1, [1, 1])
    assert signal.getsignal(signal.SIGTERM) is outer


def test_trouble_in_saving_does_not_keep_the_former_handler_away(user_handler, caplog):
    class Failing:
        def save(self):
            raise OSError("the disk is full")

    handlers, failing = Termination(), Failing()
    handlers.add(failing.save)
    signal.raise_signal(signal.SIGTERM)
    handlers.remove(failing.save)
    assert user_handler == [1]
    assert "the disk is full" in caplog.text


def test_a_forked_child_does_not_do_the_work_of_its_parent(user_handler, tmp_path):
    class Touching:
        def save(self):
            (tmp_path / "saved").touch()

    handlers, touching = Termination(), Touching()
    handlers.add(touching.save)
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGTERM)
        os._exit(len(user_handler))
    _, status = os.waitpid(child, 0)
    handlers.remove(touching.save)
    assert os.waitstatus_to_exitcode(status) == 1
    assert not (tmp_path / "saved").exists()


def test_flowers_own_handler_stays():
    from flwr.supercore.exit import register_signal_handlers

    names = ("SIGINT", "SIGTERM", "SIGQUIT")
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    handlers, saver = Termination(), Saver()
    try:
        register_signal_handlers(event_type=None)
        flowers = signal.getsignal(signal.SIGTERM)
        handlers.add(saver.save)
        assert signal.getsignal(signal.SIGTERM) is flowers
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
