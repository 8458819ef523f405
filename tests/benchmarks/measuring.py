"""How the benchmarks measure: in turns, in processes of their own, as ratios."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "MIB",
    "PeakMemory",
    "in_own_process",
    "in_turns",
    "seconds_of",
    "show_table",
]

MIB = 1024**2
REPEATS = 7

_TESTS = Path(__file__).parents[1]


def seconds_of(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(
    works: Mapping[str, Callable[[], object]],
    repeats: int = REPEATS,
    *,
    before_each: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Return the median seconds of each work; they take turns, after one unmeasured."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            before_each()
            seconds = seconds_of(work)
            if turn:
                times[name].append(seconds)
    return {name: statistics.median(each) for name, each in times.items()}


class PeakMemory:
    """Measures by how much a block raises the memory of this process (Linux).

    Attributes
    ----------
    peak_bytes : int
        Resident bytes at the highest, beyond those at the beginning.
    """

    def __enter__(self) -> PeakMemory:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")
        self.peak_bytes = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.peak_bytes = _status("VmHWM") - self._before


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def in_own_process(module: str, function: str, *arguments: Any) -> Any:
    """Call ``benchmarks.<module>.<function>`` in a fresh process; JSON in and out."""
    code = (
        "import json, sys\n"
        f"from benchmarks.{module} import {function} as work\n"
        "print('RESULT ' + json.dumps(work(*json.loads(sys.argv[1]))))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        cwd=_TESTS,
        capture_output=True,
        text=True,
    )
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise RuntimeError(f"{module}.{function} failed:\n{ended.stderr[-2000:]}")


def show_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print rows under a header, in columns as wide as they need."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    print(f"\n{title}")
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
