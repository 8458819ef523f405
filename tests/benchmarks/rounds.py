"""What a round costs with the registry on: a whole federation, wrapped against bare.

    cd tests && python -m benchmarks.rounds [--megabytes 1 64 256]

Four nodes answer with ready-made arrays after a fixed time, as nodes elsewhere would;
Flower's own server loop and FedAvg do the rest. Wrapped and bare runs take turns.
Everything is on: validation, storage, registration, metrics, a checkpoint each round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.measuring import show_table
from benchmarks.timed_federation import run_legacy, run_message
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg as MessageFedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.strategy.hooks.legacy_hooks import LEGACY_HOOKS
from flwr_registry.strategy.hooks.message_hooks import MESSAGE_HOOKS
from flwr_registry.strategy.hooks.wrapping import RecordedHook
from flwr_registry.strategy.round_validation import RoundValidation

Hooks = dict[str, RecordedHook]

ROUNDS = 5
TURNS = 2

APIS: dict[str, tuple[type, Hooks, Callable[..., None], tuple[str, ...]]] = {
    "message": (
        MessageFedAvg,
        MESSAGE_HOOKS,
        run_message,
        (
            "configure_train",
            "aggregate_train",
            "configure_evaluate",
            "aggregate_evaluate",
        ),
    ),
    "legacy": (
        LegacyFedAvg,
        LEGACY_HOOKS,
        run_legacy,
        (
            "configure_fit",
            "aggregate_fit",
            "evaluate",
            "configure_evaluate",
            "aggregate_evaluate",
        ),
    ),
}


@dataclass
class Clock:
    """Seconds by name and round; the round is the last one that was configured."""

    seconds: dict[str, dict[int, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    server_round: int = 0
    began: dict[int, float] = field(default_factory=dict)

    def timing(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a method that adds what it takes to `name`."""

        @wraps(method)
        def timed(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*args, **named)
            finally:
                taken = time.perf_counter() - began
                self.seconds[name][self.server_round] += taken

        return timed

    def begin_round(self) -> None:
        """Note that a round begins."""
        self.server_round += 1
        self.began[self.server_round] = time.perf_counter()

    def round_seconds(self) -> list[float]:
        """Return the length of each round after the first, the last one left out."""
        marks = list(self.began.values())
        return [after - before for before, after in pairwise(marks[1:])]

    def median_ms(self, name: str) -> float:
        """Return the median over rounds of what `name` took in a round."""
        rounds = range(2, self.server_round + 1)
        return 1000 * statistics.median(self.seconds[name][n] for n in rounds)


@contextmanager
def hooks_timed(
    clock: Clock, recording: Hooks, hooks: tuple[str, ...]
) -> Iterator[None]:
    """Time the hooks of the wrapper, and validation."""
    timed_hooks = {
        name: replace(
            recording[name], record=clock.timing(recording[name].record, "wrapped")
        )
        for name in hooks
    }
    with ExitStack() as patches:
        patches.enter_context(mock.patch.dict(recording, timed_hooks))
        for name in ("read", "judge"):
            timed = clock.timing(RoundValidation.__dict__[name], "validation")
            patches.enter_context(mock.patch.object(RoundValidation, name, timed))
        yield


def timed_class(kind: type, clock: Clock, hooks: tuple[str, ...]) -> type:
    """Return a strategy class whose own hooks are timed, and tell of rounds."""
    methods = {hook: clock.timing(getattr(kind, hook), "own") for hook in hooks}
    configure = methods[hooks[0]]

    @wraps(configure)
    def configuring(*args: Any, **named: Any) -> Any:
        clock.begin_round()
        return configure(*args, **named)

    return type(kind.__name__, (kind,), {**methods, hooks[0]: configuring})


def run(api: str, megabytes: int, seconds: float, *, wrap: bool) -> tuple[Clock, float]:
    """Run a federation once; return its clock and the length of the whole run."""
    kind, recording, play, hooks = APIS[api]
    clock = Clock()
    strategy: Any = timed_class(kind, clock, hooks)()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with (
            ModelRegistry(place / "registry.db") as registry,
            hooks_timed(clock, recording, hooks),
        ):
            if wrap:
                strategy = RegistryStrategy(
                    strategy, registry=registry, run="trial", on_error="raise"
                )
            began = time.perf_counter()
            play(strategy, megabytes, seconds, ROUNDS)
            whole = time.perf_counter() - began
            if wrap:
                assert len(registry.list()) == ROUNDS
    return clock, whole


def measure(api: str, megabytes: int, seconds: float) -> list[str]:
    """Measure one API and size; return a row."""
    rounds: dict[bool, list[float]] = {True: [], False: []}
    wholes: dict[bool, list[float]] = {True: [], False: []}
    in_wrapper, validation = [], []
    run(api, 1, 0.0, wrap=True)
    for turn in range(2 * TURNS):
        for wrap in (turn % 2 == 0, turn % 2 == 1):
            clock, whole = run(api, megabytes, seconds, wrap=wrap)
            rounds[wrap] += clock.round_seconds()
            wholes[wrap].append(whole)
            if wrap:
                checked = clock.median_ms("validation")
                validation.append(checked)
                in_wrapper.append(
                    clock.median_ms("wrapped") - clock.median_ms("own") - checked
                )
    bare = statistics.median(rounds[False])
    stall = statistics.median(rounds[True]) / bare - 1
    on_off = statistics.median(wholes[True]) / statistics.median(wholes[False])
    return [
        api,
        str(megabytes),
        f"{bare:.2f}",
        f"{100 * stall:+.1f} %",
        f"{on_off:.3f}",
        f"{statistics.median(in_wrapper):.1f}",
        f"{statistics.median(validation):.1f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each node")
    given = parser.parse_args()
    rows = [
        measure(api, megabytes, given.seconds)
        for megabytes in given.megabytes
        for api in APIS
    ]
    header = ["API", "MiB", "bare round s", "stall", "run on ÷ off"]
    header += ["in wrapper ms", "validation ms"]
    show_table(
        f"rounds of 4 nodes that train and evaluate for {given.seconds} s each",
        header,
        rows,
    )


if __name__ == "__main__":
    main()
