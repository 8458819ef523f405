"""From where a run goes on, when it refuses to, and what it leaves behind."""

import json
import logging
import random
from pathlib import Path

import numpy as np
import pytest
from federation.catalogue import find
from federation.clients import NumpyClients
from federation.in_process_grid import InProcessGrid, to_record
from federation.outcome import Play, play
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM
from strategy.test_resume import line

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import (
    CheckpointManager,
    EveryNRounds,
    OnImprovement,
)
from flwr_registry.checkpointing.checkpoint_files import CheckpointFiles
from flwr_registry.errors import (
    CheckpointError,
    InvalidReferenceError,
    InvalidStateError,
    MetricNotMeasuredError,
    ResumeError,
)
from flwr_registry.retention import EveryNth, LatestN
from flwr_registry.storage import LocalStorageBackend

pytestmark = pytest.mark.slow

ENTRY = find("message-FedAdam")
MODEL = {"w": np.zeros(4, np.float32), "b": np.zeros(2, np.float32)}


def run(folder, rounds, *, entry=ENTRY, make=lambda inner: inner, **options):
    """Run an entry in the registry of a folder; return its outcome."""

    def wrap(strategy):
        return RegistryStrategy(
            make(strategy),
            registry=str(folder / "registry.db"),
            **{"run": "trial", "on_error": "raise", **options},
        )

    return play(entry, Play(rounds=rounds, wrap=wrap))


def start(folder, strategy, rounds=3, arrays=MODEL, evaluate_fn=None, **options):
    """Run a strategy of the test's own; return Flower's result."""
    random.seed(3)
    wrapped = RegistryStrategy(
        strategy,
        registry=str(folder / "registry.db"),
        **{"run": "trial", "on_error": "raise", "model": "digits", **options},
    )
    return wrapped.start(
        grid=InProcessGrid(NumpyClients()),
        initial_arrays=to_record(arrays),
        num_rounds=rounds,
        evaluate_fn=evaluate_fn,
    )


def opened(folder):
    return ModelRegistry(folder / "registry.db")


def checkpoints(folder, run="trial"):
    return CheckpointManager(LocalStorageBackend(folder), run)


def replace_measure(folder, source, measured):
    """Let the checkpoint of round 1 say that a source measured something else in it."""
    files = CheckpointFiles(LocalStorageBackend(folder), "trial")
    fields = json.loads(files.read_manifest(1))
    fields["metrics"][source]["1"] = measured
    text = json.dumps(fields).encode()
    files.write_manifest(1, text, interim=False)
    files.commit(1, text)


def interrupt_in(monkeypatch, kind, server_round):
    own = kind.aggregate_train

    def aggregate_train(self, current, replies):
        if current == server_round:
            raise KeyboardInterrupt
        return own(self, current, replies)

    monkeypatch.setattr(kind, "aggregate_train", aggregate_train)


def test_a_run_without_a_checkpoint_starts_unless_one_is_insisted_on(tmp_path):
    with pytest.raises(ResumeError, match="resume='auto'"):
        run(tmp_path, 1, resume=True)
    run(tmp_path, 1, resume="auto")
    with opened(tmp_path) as registry:
        assert len(registry.list()) == 1


def test_a_run_is_found_again_by_its_own_name_alone(tmp_path):
    with pytest.raises(ResumeError, match="give run="):
        run(tmp_path, 1, resume="auto", run=None)


def test_more_rounds_go_on_where_the_run_ended(tmp_path):
    whole = run(tmp_path / "whole", 5)
    run(tmp_path / "parts", 2)
    run(tmp_path / "parts", 4, resume=True)
    parts = run(tmp_path / "parts", 5, resume=True)
    assert (parts.arrays, parts.metrics) == (whole.arrays, whole.metrics)
    assert line(tmp_path / "parts") == line(tmp_path / "whole")
    with opened(tmp_path / "parts") as registry:
        assert [each.provenance.name for each in registry.runs()] == ["trial"] * 3


def test_without_its_database_a_run_goes_on_and_the_rows_come_back(tmp_path):
    whole = run(tmp_path / "whole", 4)
    folder = tmp_path / "parts"
    run(folder, 2)
    with opened(folder) as registry:
        before = registry.list()
        contributors = registry.contributors(before[0].reference)
    (folder / "registry.db").unlink()
    parts = run(folder, 4, resume=True)
    assert parts.arrays == whole.arrays
    assert line(folder) == line(tmp_path / "whole")
    with opened(folder) as registry:
        for there in before:
            here = registry.get(there.reference)
            for fact in ("checksum", "parent_version", "metrics", "num_clients"):
                assert getattr(here, fact) == getattr(there, fact), fact
        assert registry.contributors(before[0].reference) == contributors
        assert registry.verify_all().problems == ()


def test_a_whole_storage_is_rebuilt(tmp_path):
    run(tmp_path, 3)
    run(tmp_path, 2, run="other", entry=find("message-FedAvg"))
    with opened(tmp_path) as registry:
        before = {each.reference: each.checksum for each in registry.list()}
    (tmp_path / "registry.db").unlink()
    with opened(tmp_path) as registry:
        assert sorted(registry.rebuild()) == sorted(before)
        assert {v.reference: v.checksum for v in registry.list()} == before
        assert registry.rebuild() == []
        assert registry.doctor() == []


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("message-FedYogi", {}, "FedYogi"),
        ("message-FedAdam", {"model": "other"}, "model='digits-app'"),
    ],
)
def test_another_strategy_or_model_is_refused(tmp_path, name, options, said):
    run(tmp_path, 1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResumeError, match=said):
        run(tmp_path, 2, entry=find(name), resume="auto", **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_architecture_is_refused(tmp_path):
    start(tmp_path, FedAvg(), rounds=1)
    with pytest.raises(ResumeError, match="architecture"):
        start(tmp_path, FedAvg(), arrays={"w": np.zeros(5)}, resume="auto")


class Accountant:
    spent = 0

    def state_dict(self):
        return {"spent": self.spent}

    def load_state_dict(self, state):
        self.spent = state["spent"]


class Accounted(FedAvg):
    def __init__(self, accountant=None):
        super().__init__()
        self.accountant = accountant


def test_a_budget_never_starts_at_zero_again(tmp_path):
    start(tmp_path, Accounted(), rounds=1)
    with pytest.raises(ResumeError, match=r"accountant.*budget would start at zero"):
        start(tmp_path, Accounted(Accountant()), resume="auto")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    whole = run(tmp_path / "whole", 4)
    folder = tmp_path / "parts"
    run(folder, 3)
    (folder / "checkpoints/trial/round_000003/manifest.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "flwr"):
        parts = run(folder, 4, resume=True)
    assert "the checkpoint of round 3 is damaged" in caplog.text
    assert parts.arrays == whole.arrays
    assert line(folder) == line(tmp_path / "whole")


def test_without_any_sound_checkpoint_nothing_starts_anew(tmp_path):
    run(tmp_path, 2)
    for manifest in tmp_path.rglob("manifest.json"):
        manifest.write_text("{}")
    with pytest.raises(ResumeError, match="no checkpoint of run trial"):
        run(tmp_path, 2, resume="auto")


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    from flwr_registry.checkpointing import checkpoint

    monkeypatch.setattr(checkpoint, "_PLAIN_FORMAT", 99)
    run(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="upgrade flwr-registry"):
        run(tmp_path, 2, resume="auto")


@pytest.mark.parametrize("named", ["trial/2", "trial/round_000002", "1.1.0"])
def test_an_older_checkpoint_is_named_and_the_same_bytes_add_nothing(tmp_path, named):
    whole = run(tmp_path, 3)
    before = line(tmp_path)
    again = run(tmp_path, 3, resume=named)
    assert again.arrays == whole.arrays
    assert line(tmp_path) == before
    with opened(tmp_path) as registry:
        assert len(registry.list()) == 3
        newest, _ = registry.runs()
        (repeated,) = registry.rounds(newest)
        assert (repeated.server_round, repeated.measured_version) == (3, "1.2.0")
    assert checkpoints(tmp_path, "trial~2").rounds() == [2, 3]


def test_other_bytes_are_a_branch_and_the_abandoned_are_superseded(tmp_path):
    run(tmp_path, 4)
    changed = lambda s: setattr(s, "eta", 0.5) or s  # noqa: E731
    run(tmp_path, 4, resume="trial/2", make=changed)
    with opened(tmp_path) as registry:
        versions = {each.version: each for each in registry.list()}
        parents = {v.version: v.parent_version for v in versions.values()}
        superseded = {v.version for v in versions.values() if v.superseded}
        (entry,) = registry.audit(action="resume_run")
    assert parents["1.4.0"] == "1.1.0" and parents["1.5.0"] == "1.4.0"
    assert superseded == {"1.2.0", "1.3.0"}
    assert entry.details["superseded"] == ["1.2.0", "1.3.0"]
    assert entry.details["after_round"] == 2


def test_what_is_not_there_is_told_with_what_is(tmp_path):
    run(tmp_path, 2)
    with pytest.raises(ResumeError, match="those of rounds 1, 2"):
        run(tmp_path, 3, resume="trial/7")
    with pytest.raises(ResumeError, match=r"trial/2 \(1\.1\.0\)"):
        run(tmp_path, 3, resume="digits-app:9.9.9")


def test_changed_settings_hold_and_are_told(tmp_path, caplog):
    start(tmp_path, FedAdam(eta=0.1, min_train_nodes=2), rounds=2)
    strategy = FedAdam(eta=0.1, min_train_nodes=3)
    with caplog.at_level(logging.INFO, "flwr"):
        start(tmp_path, strategy, rounds=3, resume=True)
    assert strategy.min_train_nodes == 3
    assert "min_train_nodes (was 2, is 3)" in caplog.text
    assert "goes on after round 2, from checkpoint trial/round_000002" in caplog.text


class Loop(FedAvg):
    """A loop of the user's own, which looks at the model of each round."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def start(self, grid, initial_arrays, num_rounds, evaluate_fn=None):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            replies = grid.send_and_receive(messages)
            arrays, metrics = self.aggregate_train(current, replies)
            total = sum(float(each.numpy().sum()) for each in arrays.values())
            yield_metrics = dict(metrics)
            SEEN.append((current, total, yield_metrics))
            messages = self.configure_evaluate(current, arrays, ConfigRecord(), grid)
            self.aggregate_evaluate(current, grid.send_and_receive(messages))
        return arrays


SEEN = []


def test_a_loop_of_the_users_own_sees_each_rounds_own_model(tmp_path):
    SEEN.clear()
    start(tmp_path / "whole", Loop(), rounds=4)
    whole = SEEN.copy()
    SEEN.clear()
    start(tmp_path / "parts", Loop(), rounds=3)
    SEEN.clear()
    start(tmp_path / "parts", Loop(), rounds=4, resume=True)
    assert whole == SEEN


def test_metrics_that_were_lost_are_measured_on_the_rounds_own_model(tmp_path):
    start(tmp_path, FedAvg(), rounds=3)
    measured = []

    def evaluate_fn(server_round, arrays: ArrayRecord):
        total = sum(float(each.numpy().sum()) for each in arrays.values())
        measured.append((server_round, total))
        return MetricRecord({"total": total})

    result = start(tmp_path, FedAvg(), rounds=3, resume=True, evaluate_fn=evaluate_fn)
    with opened(tmp_path) as registry:
        totals = [
            sum(float(array.sum()) for array in registry.load(v.reference).values())
            for v in registry.list()[::-1]
        ]
        newest = registry.get("digits")
    assert [server_round for server_round, _ in measured] == [0, 1, 2, 3]
    assert [total for _, total in measured[1:]] == pytest.approx(totals)
    assert set(result.evaluate_metrics_serverapp) == {0, 1, 2, 3}
    assert newest.metrics["evaluate_serverapp"] == {"total": measured[-1][1]}


def test_metrics_that_are_known_are_not_measured_again(tmp_path):
    calls = []

    def evaluate_fn(server_round, arrays):
        calls.append(server_round)
        return None if server_round == 2 else MetricRecord({"loss": 1.0})

    start(tmp_path, FedAvg(), rounds=3, evaluate_fn=evaluate_fn)
    calls.clear()
    result = start(tmp_path, FedAvg(), rounds=4, evaluate_fn=evaluate_fn, resume=True)
    assert calls == [4]
    assert set(result.evaluate_metrics_serverapp) == {0, 1, 3, 4}


ODD_METRICS = {"note": "", "flag": True, "of": {"a": [1]}, "mixed": [1, "x"]}


class OddMetrics(FedAvg):
    """Returns what a `MetricRecord` refuses and Flower takes."""

    def aggregate_train(self, server_round, replies):
        arrays, _ = super().aggregate_train(server_round, replies)
        return arrays, dict(ODD_METRICS)

    def aggregate_evaluate(self, server_round, replies):
        return dict(ODD_METRICS)


def test_metrics_that_are_no_record_come_back_as_they_were(tmp_path):
    for rounds in (1, 2):
        found = start(tmp_path, OddMetrics(), rounds, resume="auto")
    expected = {1: ODD_METRICS, 2: ODD_METRICS}
    assert found.train_metrics_clientapp == expected
    assert found.evaluate_metrics_clientapp == expected


def test_an_odd_metric_in_a_manifest_ends_no_resume(tmp_path):
    start(tmp_path, FedAvg(), 1)
    replace_measure(tmp_path, "train_clientapp", {"train_loss": ""})
    found = start(tmp_path, FedAvg(), 2, resume=True)
    assert found.train_metrics_clientapp[1]["train_loss"] == ""
    assert isinstance(found.train_metrics_clientapp[2], MetricRecord)


@pytest.mark.parametrize(
    ("name", "source", "odd"),
    [
        ("message-FedAvg", "train_clientapp", [1.0, {}]),
        ("message-FedAvg", "evaluate_clientapp", [1.0, {}]),
        ("legacy-FedAvg", "train_clientapp", [1.0, {}]),
        ("legacy-FedAvg", "evaluate_clientapp", {"loss": 1.0}),
    ],
)
def test_measures_in_the_form_of_the_other_api_are_refused(tmp_path, name, source, odd):
    entry = find(name)
    run(tmp_path, 1, entry=entry)
    replace_measure(tmp_path, source, odd)
    with pytest.raises(ResumeError, match=f"{source} of round 1"):
        run(tmp_path, 2, entry=entry, resume=True)


def test_an_interrupted_run_leaves_the_last_finished_round(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", 5)
    folder = tmp_path / "parts"
    with monkeypatch.context() as patch:
        interrupt_in(patch, FedAdam, 4)
        with pytest.raises(KeyboardInterrupt):
            run(folder, 5, checkpoint_every=10)
    assert checkpoints(folder).rounds() == [3]
    parts = run(folder, 5, resume=True, checkpoint_every=10)
    assert (parts.arrays, parts.metrics) == (whole.arrays, whole.metrics)
    assert parts.strategy_state == whole.strategy_state
    assert line(folder) == line(tmp_path / "whole")


def test_policies_say_when_and_which(tmp_path):
    run(
        tmp_path,
        6,
        checkpoint_every=EveryNRounds(2) | OnImprovement("central_loss", "min"),
        keep_checkpoints=LatestN(1) | EveryNth(4),
    )
    assert checkpoints(tmp_path).rounds() == [4, 6]


@pytest.mark.parametrize(
    "options",
    [
        {"best_metric": "acuracy", "best_mode": "max"},
        {"checkpoint_every": OnImprovement("acuracy", "max")},
    ],
)
def test_a_mistyped_metric_ends_the_first_round(tmp_path, options):
    with pytest.raises(MetricNotMeasuredError, match=r"acuracy.*round 1 measured"):
        run(tmp_path, 3, on_error="warn", **options)
    with opened(tmp_path) as registry:
        assert len(registry.list()) == 1


@pytest.mark.parametrize(("mode", "choose"), [("max", max), ("min", min)])
def test_the_best_is_judged_on_its_own_metrics(tmp_path, mode, choose):
    run(tmp_path, 6, best_metric="accuracy", best_mode=mode)
    with opened(tmp_path) as registry:
        values = {
            v.version: v.metrics["train_clientapp"]["accuracy"] for v in registry.list()
        }
        best = registry.get("digits-app@best").version
    assert values[best] == choose(values.values())


def test_training_starts_from_a_version_of_another_run(tmp_path):
    start(tmp_path, FedAvg(), rounds=2)
    start(
        tmp_path, FedAvgM(), rounds=2, run="tuned", initial="digits:1.0.0", bump="patch"
    )
    with opened(tmp_path) as registry:
        first, second = registry.list("digits", run="tuned")[::-1]
        assert (first.version, first.parent_version) == ("1.0.1", "1.0.0")
        assert (second.version, second.parent_version) == ("1.0.2", "1.0.1")
        assert registry.common_ancestor("digits:1.0.2", "digits:1.1.0").version == (
            "1.0.0"
        )


def test_the_weights_of_the_version_are_what_nodes_get(tmp_path):
    start(tmp_path, FedAvg(), rounds=1)
    with opened(tmp_path) as registry:
        weights = registry.load("digits")
    seen = []

    class Watching(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            seen.append({name: each.numpy() for name, each in arrays.items()})
            return super().configure_train(server_round, arrays, config, grid)

    start(tmp_path, Watching(), rounds=1, run="tuned", initial="digits")
    for name, array in weights.items():
        np.testing.assert_array_equal(seen[0][name], array)


def test_a_version_that_may_not_be_used_is_no_start(tmp_path):
    start(tmp_path, FedAvg(), rounds=1)
    with pytest.raises(InvalidReferenceError, match="model='digits'"):
        start(tmp_path, FedAvg(), run="tuned", initial="digits", model="cats")
    with opened(tmp_path) as registry:
        node = registry.contributions("digits")[0].node_id
        registry.withdraw(node)
    with pytest.raises(InvalidStateError, match="withdrawn"):
        start(tmp_path, FedAvg(), run="tuned", initial="digits")


def test_manifests_name_nodes_as_the_registry_does(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_REGISTRY_NODE_KEY", "secret")
    run(tmp_path, 1)
    (manifest,) = Path(tmp_path).rglob("manifest.json")
    nodes = json.loads(manifest.read_text())["rounds"]["1"]["nodes"]
    assert nodes and all(node[0].startswith("hmac-") for node in nodes)


def test_a_checkpoint_can_be_pinned(tmp_path):
    run(tmp_path, 2)
    manager = CheckpointManager(LocalStorageBackend(tmp_path), "trial", keep=LatestN(1))
    manager.pin(1)
    assert manager.prune() == []
    manager.unpin(1)
    assert manager.prune() == [1]
