"""The process that tries a version: it loads it, predicts once, and ends.

Whatever this does to the process, such as a crash of the module's native code, is done
to no server.
"""

from __future__ import annotations

import faulthandler
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from flwr_registry.serving.predictor_loader import PredictorLoader

__all__ = ["try_and_end"]

_LONGEST_TEXT = 2000


def try_and_end(asked: Mapping[str, Any]) -> NoReturn:
    """Load and predict, write what came of it as JSON to the standard output, and end.

    Parameters
    ----------
    asked : mapping
        ``loader``, as `PredictorLoader.described` gives it, ``reference`` and
        ``timeout_seconds``.
    """
    # What the user's module prints must not be taken for an answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    faulthandler.enable()
    # A module that hangs in native code lets no thread of Python's end it.
    faulthandler.dump_traceback_later(asked["timeout_seconds"], exit=True)
    _give_way_to_the_server()
    told: dict[str, str] = {}
    try:
        PredictorLoader.from_described(asked["loader"])(asked["reference"])
    except BaseException as error:  # noqa: BLE001
        text = str(error) or "without a message"
        told = {"error": f"{type(error).__name__}: {text}"[:_LONGEST_TEXT]}
    os.write(answer, json.dumps(told).encode())
    # No exit handler of the module is waited for.
    os._exit(0)


def _give_way_to_the_server() -> None:
    """Where memory runs short, let this process fail rather than the server."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        lines = Path("/proc/meminfo").read_text().splitlines()
        (line,) = (each for each in lines if each.startswith("MemAvailable:"))
        available_bytes = int(line.split()[1]) * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (available_bytes, hard))
