"""What the verbs cost with a million versions, against ten thousand.

Run it from the folder of the tests::

    cd tests && python -m benchmarks.registry_scale [--database sqlite] [--versions N]

Each figure is a median; the histories take turns, so that a busy machine slows both. It
exits with 1 when a verb costs more than 1.5 times what it costs in the short history.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.generated_history import MODEL, ROUNDS_PER_RUN, fill
from registry.conftest import _create_database, _program, _running_server
from registry.samples import facts_of, weights_of

from flwr_registry.records import MetricSource, RunProvenance
from flwr_registry.registry import ModelRegistry

SHORT, LONG = 10_000, 1_000_000
BAR = 1.5
REPEATS = 21

Operation = Callable[[ModelRegistry, int], object]


def look_up(registry: ModelRegistry, versions: int) -> object:
    return registry.get(f"{MODEL}:1.{random.randrange(versions)}.0")


def latest(registry: ModelRegistry, versions: int) -> object:
    return registry.latest(MODEL)


def production(registry: ModelRegistry, versions: int) -> object:
    return registry.get(f"{MODEL}@production")


def page(registry: ModelRegistry, versions: int) -> object:
    return registry.list(MODEL, limit=100)


def page_of_status(registry: ModelRegistry, versions: int) -> object:
    return registry.list(MODEL, status="active", limit=100)


def page_of_run(registry: ModelRegistry, versions: int) -> object:
    return registry.list(MODEL, run="run-3", limit=100)


def lineage(registry: ModelRegistry, versions: int) -> object:
    found = registry.lineage(f"{MODEL}:1.{3 * ROUNDS_PER_RUN - 1}.0")
    assert len(found.ancestors) == ROUNDS_PER_RUN - 1
    return found


def register(registry: ModelRegistry, versions: int) -> object:
    return registry.register(weights_of(random.random()), model=MODEL)


def register_patch(registry: ModelRegistry, versions: int) -> object:
    weights = weights_of(random.random())
    return registry.register(weights, model=MODEL, parent="1.5.0", bump="patch")


def register_round(registry: ModelRegistry, versions: int) -> object:
    run = registry.start_run(RunProvenance(f"run-{uuid.uuid4().hex}", MODEL))
    made = registry.register(
        weights_of(random.random()), model=MODEL, run=run, facts=facts_of(1, "a", "b")
    )
    source = MetricSource.EVALUATE_SERVERAPP
    registry.record_metrics(run, 1, source, {"accuracy": 0.5}, measured=made)
    return made


OPERATIONS: dict[str, Operation] = {
    "point lookup": look_up,
    "latest": latest,
    "production": production,
    "page of 100": page,
    "page of 100 of a status": page_of_status,
    "page of 100 of a run": page_of_run,
    "lineage 1000 deep": lineage,
    "register": register,
    "register a patch": register_patch,
    "start run, register, metrics": register_round,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--versions", type=int, default=LONG)
    options = parser.parse_args()
    slow = 0
    with tempfile.TemporaryDirectory() as folder:
        for database in options.database or ["sqlite", "postgresql"]:
            slow += _measured(database, Path(folder), options.versions)
    return 1 if slow else 0


def _measured(database: str, folder: Path, versions: int) -> int:
    """Print a table; return how many operations exceed the bar."""
    with ExitStack() as stack:
        server = stack.enter_context(_server(database))
        if server is None:
            print(f"{database}: skipped, it is not installed")
            return 0
        opened = []
        for count in (SHORT, versions):
            begun = time.perf_counter()
            url = _url(server, folder, count)
            storage = folder / f"weights-{database}-{count}"
            registry = stack.enter_context(ModelRegistry(url, storage))
            fill(url, count)
            opened.append((registry, count))
            seconds = time.perf_counter() - begun
            print(f"{database}: {count} versions written in {seconds:.0f} s")
        print(f"{'':30}{SHORT:>12} {versions:>12}   ratio")
        return sum(_is_slow(name, work, opened) for name, work in OPERATIONS.items())


def _is_slow(
    name: str, work: Operation, opened: list[tuple[ModelRegistry, int]]
) -> bool:
    times: list[list[float]] = [[] for _ in opened]
    for repeat in range(REPEATS + 2):
        for taken, (registry, count) in zip(times, opened, strict=True):
            begun = time.perf_counter()
            work(registry, count)
            if repeat >= 2:
                taken.append(time.perf_counter() - begun)
    short, long = (1000 * statistics.median(taken) for taken in times)
    slow = long > BAR * short
    mark = "  OVER THE BAR" if slow else ""
    print(f"{name:30}{short:9.2f} ms {long:9.2f} ms {long / short:7.2f}{mark}")
    return slow


@contextmanager
def _server(database: str) -> Iterator[str | None]:
    """The URL of a server, empty for SQLite; None where there is no server."""
    if database == "sqlite":
        yield ""
        return
    programs = [_program("initdb"), _program("postgres")]
    if None in programs:
        yield None
        return
    with _running_server(*map(str, programs)) as url:
        yield url


def _url(server: str, folder: Path, count: int) -> str:
    if not server:
        return f"sqlite:///{folder / f'{count}.db'}"
    _create_database(server, f"registry_{count}", "template1")
    return f"{server}/registry_{count}"


if __name__ == "__main__":
    sys.exit(main())
