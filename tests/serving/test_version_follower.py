"""Which version is served, step by step."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from flwr_registry import Predictor
from flwr_registry.errors import NoProductionModelError, PredictionError
from flwr_registry.records import Contribution, RoundFacts, RunProvenance
from flwr_registry.serving import served_model
from flwr_registry.serving.served_model import ServedModel
from flwr_registry.serving.server_options import ServerOptions
from flwr_registry.serving.version_follower import VersionFollower


@pytest.fixture
def loads():
    return []


@pytest.fixture
def follower(registry, loads):
    def load(reference):
        return Predictor(reference, registry=registry)

    def note(version, succeeded):
        loads.append((version.version, succeeded))

    return VersionFollower(
        registry, "digits@production", load, poll_seconds=0.5, on_load=note
    )


def version_of(follower):
    return follower.current and follower.current.version.version


def eventually(found):
    ends = time.monotonic() + 30
    while not found():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.01)


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_each_version_is_loaded_once(registry, add, follower, loads):
    follower.refresh()
    assert follower.current is None and "no model" in follower.problem
    registry.promote(add(1).reference)
    for _ in range(3):
        follower.refresh()
    assert (version_of(follower), follower.problem) == ("1.0.0", "")
    registry.promote(add(2).reference)
    follower.refresh()
    assert version_of(follower) == "1.1.0"
    assert loads == [("1.0.0", True), ("1.1.0", True)]


def test_damaged_bytes_leave_the_old_version_until_they_are_mended(
    registry, add, follower, loads, tmp_path
):
    registry.promote(add(1).reference)
    follower.refresh()
    second = add(2)
    registry.promote(second.reference)
    path = tmp_path / "weights" / second.storage_path
    flip_last_byte(path)
    follower.refresh()
    assert version_of(follower) == "1.0.0"
    assert "is damaged" in follower.problem
    follower.refresh()
    # It is not tried again at once: a large model would be read over and over.
    assert loads == [("1.0.0", True), ("1.1.0", False)]
    flip_last_byte(path)
    time.sleep(0.5)
    while version_of(follower) != "1.1.0":
        follower.refresh()
    assert follower.problem == ""


def test_a_withdrawn_version_is_let_go_of(registry, add, follower):
    run = registry.start_run(RunProvenance("trial", "digits"))
    made = add(1, run=run, facts=RoundFacts(1, {}, [Contribution("a")]))
    registry.promote(made.reference)
    follower.refresh()
    assert version_of(follower) == "1.0.0"
    registry.withdraw("a", reason="consent")
    follower.refresh()
    assert follower.current is None
    assert follower.problem


def test_withdrawn_is_let_go_of_also_when_its_successor_cannot_be_loaded(
    registry, add, follower, tmp_path
):
    run = registry.start_run(RunProvenance("trial", "digits"))
    old = add(1, run=run, facts=RoundFacts(1, {}, [Contribution("a")]))
    new = add(2)
    registry.promote(old.reference)
    follower.refresh()
    registry.promote(new.reference)
    flip_last_byte(tmp_path / "weights" / new.storage_path)
    follower.refresh()
    assert version_of(follower) == "1.0.0"
    registry.withdraw("a", reason="consent")
    follower.refresh()
    assert follower.current is None


def test_a_registry_that_cannot_be_asked_leaves_what_is_served(
    registry, add, follower, tmp_path
):
    registry.promote(add(1).reference)
    follower.refresh()
    database = tmp_path / "registry.db"
    database.rename(tmp_path / "away.db")
    follower.refresh()
    assert version_of(follower) == "1.0.0"
    assert "cannot be asked" in follower.problem
    (tmp_path / "away.db").rename(database)
    follower.refresh()
    assert follower.problem == ""


def test_what_has_to_follow_a_switch_is_made_good_when_it_failed(registry, add):
    told = []

    def on_load(version, succeeded):
        told.append((version.version, succeeded))
        if len(told) < 3:
            raise RuntimeError("database is locked")

    follower = VersionFollower(
        registry,
        "digits@production",
        lambda reference: Predictor(reference, registry=registry),
        on_load=on_load,
    )
    registry.promote(add(1).reference)
    follower.load_first()
    assert version_of(follower) == "1.0.0"
    assert "database is locked" in follower.problem
    follower.refresh()
    assert "database is locked" in follower.problem
    for _ in range(2):
        follower.refresh()
        assert (version_of(follower), follower.problem) == ("1.0.0", "")
    assert told == [("1.0.0", True)] * 3


def test_a_failure_that_cannot_be_told_of_still_lets_go_of_what_is_unfit(
    registry, add, tmp_path
):
    def on_load(version, succeeded):
        if not succeeded:
            raise RuntimeError("no metrics")

    follower = VersionFollower(
        registry,
        "digits@production",
        lambda reference: Predictor(reference, registry=registry),
        on_load=on_load,
    )
    run = registry.start_run(RunProvenance("trial", "digits"))
    old = add(1, run=run, facts=RoundFacts(1, {}, [Contribution("a")]))
    new = add(2)
    registry.promote(old.reference)
    follower.refresh()
    registry.promote(new.reference)
    flip_last_byte(tmp_path / "weights" / new.storage_path)
    registry.withdraw("a", reason="consent")
    follower.refresh()
    assert follower.current is None
    assert "cannot be served" in follower.problem


def test_drift_is_watched_once_the_registry_can_be_asked_again(registry, add, tmp_path):
    database, away = tmp_path / "registry.db", tmp_path / "away.db"
    features = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)

    def load(reference):
        loaded = Predictor(reference, registry=registry)
        database.rename(away)
        return loaded

    made = add(1)
    registry.promote(made.reference)
    baseline = Predictor(made.reference, registry=registry).baseline(features)
    registry.set_drift_baseline(made.reference, baseline)
    served = ServedModel(registry, "digits", load, ServerOptions())
    served.follower.load_first()
    assert version_of(served.follower) == "1.0.0"
    assert "is tried again" in served.follower.problem
    assert b"flwr_registry_degraded 1.0" in served.exposed_metrics()
    away.rename(database)
    served.follower.refresh()
    served._observe(served.follower.current, {"features": features}, {})
    shown = served.exposed_metrics()
    assert b"flwr_registry_degraded 0.0" in shown
    assert b'flwr_registry_drift{tensor="input:features"' in shown
    assert b'version_loads_total{result="loaded"} 1.0' in shown


def withdrawable(registry, add):
    """Put a version into production that the withdrawal of node a concerns."""
    run = registry.start_run(RunProvenance("trial", "digits"))
    made = add(1, run=run, facts=RoundFacts(1, {}, [Contribution("a")]))
    registry.promote(made.reference)


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit()])
def test_a_module_that_ends_its_thread_keeps_no_withdrawn_version(registry, add, error):
    def load(reference):
        if reference == "digits:1.1.0":
            raise error
        return Predictor(reference, registry=registry)

    follower = VersionFollower(registry, "digits@production", load, poll_seconds=0.01)
    withdrawable(registry, add)
    follower.load_first()
    follower.start()
    registry.promote(add(2).reference)
    eventually(lambda: "tried to end the process" in follower.problem)
    assert version_of(follower) == "1.0.0"
    registry.withdraw("a", reason="consent")
    eventually(lambda: follower.current is None)
    assert "withdrawn" in follower.problem
    registry.promote(add(3).reference)
    eventually(lambda: version_of(follower) == "1.2.0")
    follower.stop()


@pytest.mark.slow
def test_a_load_that_hangs_keeps_no_withdrawn_version(registry, add):
    released, loads = threading.Event(), []

    def load(reference):
        loads.append(reference)
        if reference == "digits:1.1.0":
            released.wait(30)
        return Predictor(reference, registry=registry)

    follower = VersionFollower(
        registry, "digits@production", load, poll_seconds=0.01, stall_seconds=0.5
    )
    withdrawable(registry, add)
    follower.load_first()
    follower.start()
    registry.promote(add(2).reference)
    eventually(lambda: "hangs" in follower.problem)
    registry.withdraw("a", reason="consent")
    eventually(lambda: follower.current is None)
    registry.promote(add(3).reference)
    eventually(lambda: (version_of(follower), follower.problem) == ("1.2.0", ""))
    released.set()
    follower.stop()
    assert version_of(follower) == "1.2.0"
    assert loads.count("digits:1.1.0") == 1


def test_what_is_withdrawn_while_its_successor_loads_is_let_go_of(registry, add):
    loading, released = threading.Event(), threading.Event()

    def load(reference):
        if reference == "digits:1.1.0":
            loading.set()
            released.wait(30)
        return Predictor(reference, registry=registry)

    follower = VersionFollower(registry, "digits@production", load, poll_seconds=0.01)
    withdrawable(registry, add)
    follower.load_first()
    follower.start()
    registry.promote(add(2).reference)
    assert loading.wait(20)
    registry.withdraw("a", reason="consent")
    eventually(lambda: follower.current is None)
    assert "withdrawn" in follower.problem
    released.set()
    eventually(lambda: (version_of(follower), follower.problem) == ("1.1.0", ""))
    follower.stop()


class HangingOnce:
    """A registry whose one answer, of long ago, comes late."""

    def __init__(self, registry, reference, answer):
        self._registry, self._reference, self._answer = registry, reference, answer
        self.is_armed = False
        self.released = threading.Event()
        self.thread = None

    def get(self, reference):
        if not self.is_armed or reference != self._reference:
            return self._registry.get(reference)
        self.is_armed, self.thread = False, threading.current_thread()
        self.released.wait(30)
        return self._answer()


def nothing_in_production():
    raise NoProductionModelError("no model is in production")


def withdrawn(registry):
    return replace(registry.get("digits:1.0.0"), withdrawn=True)


@pytest.mark.parametrize("answer", [nothing_in_production, lambda: 1 / 0])
def test_what_a_replaced_thread_learns_late_has_no_effect(
    registry, add, caplog, answer
):
    registry.promote(add(1).reference)
    asked = HangingOnce(registry, "digits@production", answer)
    loads = []

    def load(reference):
        loads.append(reference)
        return Predictor(reference, registry=registry)

    follower = VersionFollower(
        asked, "digits@production", load, poll_seconds=0.01, stall_seconds=0.5
    )
    follower.load_first()
    follower.start()
    asked.is_armed = True
    eventually(lambda: asked.thread and follower._thread._thread is not asked.thread)
    eventually(lambda: follower.problem == "")
    asked.released.set()
    asked.thread.join(20)
    follower.stop()
    # Had it been let go of, the other thread would have loaded it again.
    assert loads == ["digits:1.0.0"]
    assert "following failed" not in caplog.text


def test_what_is_found_withdrawn_late_lets_no_successor_go(registry, add):
    add(1), add(2)
    registry.promote("digits:1.0.0")
    asked = HangingOnce(registry, "digits:1.0.0", lambda: withdrawn(registry))
    follower = VersionFollower(
        asked, "digits@production", lambda each: Predictor(each, registry=registry)
    )
    follower.load_first()
    asked.is_armed = True
    late = threading.Thread(target=follower._drop_unfit)
    late.start()
    eventually(lambda: asked.thread)
    registry.promote("digits:1.1.0")
    follower.refresh()
    asked.released.set()
    late.join(20)
    assert (version_of(follower), follower.problem) == ("1.1.0", "")


def test_a_registry_that_goes_away_while_a_version_is_tried_ends_no_service(
    registry, add, tmp_path
):
    database = tmp_path / "registry.db"

    def trial(reference, goes_on):
        if reference == "digits:1.1.0":
            database.rename(tmp_path / "away.db")
            assert goes_on()

    follower = VersionFollower(
        registry,
        "digits@production",
        lambda reference: Predictor(reference, registry=registry),
        trial=trial,
    )
    registry.promote(add(1).reference)
    follower.refresh()
    registry.promote(add(2).reference)
    follower.refresh()
    assert version_of(follower) == "1.0.0"


def test_a_baseline_that_is_set_while_a_version_is_served_is_taken(
    registry, add, monkeypatch
):
    features = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    registry.promote((made := add(1)).reference)
    served = ServedModel(
        registry,
        "digits",
        lambda reference: Predictor(reference, registry=registry),
        ServerOptions(),
    )
    served.follower.load_first()
    served._review_drift()
    with monkeypatch.context() as patched:
        # Not at each poll.
        patched.setattr(registry, "drift_baseline", None)
        served._review_drift()
    monkeypatch.setattr(served_model, "_BASELINE_SECONDS", 0)
    for scale in (1, 9):
        baseline = served.follower.current.baseline(features * scale)
        registry.set_drift_baseline(made.reference, baseline)
        served._review_drift()
        served._observe(served.follower.current, {"features": features * scale}, {})
        (distances,) = served._monitor.distances().values()
        assert distances["psi"] < 0.1


def test_a_module_that_ends_the_process_when_asked_is_an_error(registry, add):
    def predict(weights, inputs):
        raise SystemExit(1)

    made = add(1)
    with pytest.raises(PredictionError, match=r"tried to end the process"):
        Predictor(made.reference, predict=predict, registry=registry)
