"""What it costs to register a model of 1 MB, against MLflow.

    cd tests && python -m benchmarks.registrations --mlflow-python PATH

PATH is the interpreter of an environment with ``mlflow==3.17.*``; without it our own
figure is printed alone. Both write to SQLite with the same settings (our own, or with
``--wal`` a write-ahead log) and to the same disk. For MLflow a version is an artifact
of a run, its metrics, and a model version with a link to the run; ours is flushed to
the disk on top of that. They take turns, batch by batch.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import numpy as np
from benchmarks.measuring import MIB, REPEATS, seconds_of, show_table

from flwr_registry import ModelRegistry
from flwr_registry.records import MetricSource, RunProvenance

BATCH = 20
METRICS = {"loss": 0.5, "accuracy": 0.9}

PEER = """
import sys, time, mlflow
import numpy as np
from mlflow.entities import Metric
from sqlalchemy import Engine, event
@event.listens_for(Engine, "connect")
def configure(connection, _):
    connection.execute(f"PRAGMA journal_mode={sys.argv[3]}")
    connection.execute("PRAGMA synchronous=FULL")
folder = sys.argv[1]
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
client = mlflow.MlflowClient()
experiment = client.create_experiment("digits", artifact_location=f"{folder}/artifacts")
client.create_registered_model("digits")
run = client.create_run(experiment).info
model = np.zeros(int(sys.argv[2]) // 4, np.float32)
print("ready", flush=True)
number = 0
for line in sys.stdin:
    began = time.perf_counter()
    for _ in range(int(line)):
        number += 1
        model[0] = number
        np.save(f"{folder}/model.npy", model)
        client.log_artifact(run.run_id, f"{folder}/model.npy", str(number))
        now = int(time.time() * 1000)
        found = [Metric("loss", 0.5, now, number), Metric("accuracy", 0.9, now, number)]
        client.log_batch(run.run_id, found)
        source = f"{run.artifact_uri}/{number}/model.npy"
        client.create_model_version("digits", source, run.run_id)
    print(time.perf_counter() - began, flush=True)
"""


@contextmanager
def mlflow_batches(
    python: str, size_bytes: int, journal: str
) -> Iterator[Callable[[], float]]:
    """Give what registers a batch in MLflow and returns its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-c", PEER, folder, str(size_bytes), journal]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        ) as peer:
            assert peer.stdin is not None and peer.stdout is not None
            if peer.stdout.readline().strip() != "ready":
                raise SystemExit(f"MLflow does not start with {python}")

            def batch() -> float:
                assert peer.stdin is not None and peer.stdout is not None
                peer.stdin.write(f"{BATCH}\n")
                peer.stdin.flush()
                return float(peer.stdout.readline())

            yield batch
            peer.stdin.close()


@contextmanager
def registry_batches(size_bytes: int, journal: str) -> Iterator[Callable[[], float]]:
    """Give what registers a batch of rounds here and returns its seconds."""
    model = {"layer": np.zeros(size_bytes // 4, np.float32)}
    with (
        tempfile.TemporaryDirectory() as folder,
        ModelRegistry(f"sqlite:///{folder}/registry.db", folder) as registry,
    ):
        if journal == "wal":
            # The mode stays with the file, and the registry leaves it as it is.
            with closing(sqlite3.connect(f"{folder}/registry.db")) as database:
                database.execute("PRAGMA journal_mode=wal")
        run = registry.start_run(RunProvenance("trial", "digits"))
        rounds = iter(range(1, 10**9))

        def register() -> None:
            server_round = next(rounds)
            model["layer"][0] = server_round
            made = registry.register(model, model="digits", run=run)
            source = MetricSource.EVALUATE_SERVERAPP
            registry.record_metrics(run, server_round, source, METRICS, measured=made)

        yield lambda: seconds_of(lambda: [register() for _ in range(BATCH)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mlflow-python", help="python of an environment with mlflow")
    parser.add_argument("--megabytes", type=int, default=1)
    parser.add_argument(
        "--wal", dest="journal", action="store_const", const="wal", default="truncate"
    )
    asked = parser.parse_args()
    size_bytes = asked.megabytes * MIB
    with ExitStack() as stack:
        batches = {
            "flwr_registry": stack.enter_context(
                registry_batches(size_bytes, asked.journal)
            )
        }
        if asked.mlflow_python:
            peer = mlflow_batches(asked.mlflow_python, size_bytes, asked.journal)
            batches["mlflow"] = stack.enter_context(peer)
        times: dict[str, list[float]] = {name: [] for name in batches}
        for turn in range(REPEATS + 1):
            for name, batch in batches.items():
                seconds = batch()
                if turn:
                    times[name].append(seconds / BATCH)
    medians = {name: statistics.median(each) for name, each in times.items()}
    peer_seconds = medians.get("mlflow")
    rows = [
        [
            name,
            f"{1000 * seconds:.1f} ms",
            f"{1 / seconds:.0f} /s",
            f"{peer_seconds / seconds:.2f}" if peer_seconds else "-",
        ]
        for name, seconds in medians.items()
    ]
    title = f"models of {asked.megabytes} MiB, journal_mode={asked.journal}"
    show_table(f"registrations of {title}", ["", "each", "rate", "rate ÷ mlflow"], rows)


if __name__ == "__main__":
    main()
