"""Trying a version in a process of its own, before it takes over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flwr_registry.errors import ModuleMismatchError, PredictionError
from flwr_registry.serving.predictor import Predictor
from flwr_registry.serving.predictor_loader import PredictorLoader
from flwr_registry.serving.server_options import ServerOptions
from flwr_registry.shown_text import OneLineLogger

__all__ = ["Trial", "trial_of", "try_version"]

_LOGGER = OneLineLogger("flwr_registry")
# The process ends itself a little later, should nobody be there to end it.
_GRACE_SECONDS = 10.0
_WAIT_SECONDS = 0.25
# The path of modules is this process's: it may have been changed since it began.
_PROGRAM = (
    "import json, sys; asked = json.load(sys.stdin); sys.path[:] = asked['path']; "
    "from flwr_registry.serving.trial_process import try_and_end; try_and_end(asked)"
)

GoesOn = Callable[[], bool]
Trial = Callable[[str, GoesOn], None]
"""Tries a reference, and gives up when the function says so; raises if it is unfit."""


def trial_of(load: Callable[[str], Predictor], options: ServerOptions) -> Trial | None:
    """Return how versions are tried; None where they are not, which the log tells.

    Parameters
    ----------
    load : callable
        How versions are loaded. Only a `PredictorLoader` can be told to a process.
    """
    if options.without_trial:
        reason = options.without_trial
        _LOGGER.info("registry: versions are served without a trial: %s", reason)
        return None
    try:
        if not isinstance(load, PredictorLoader):
            raise ModuleMismatchError("load is no PredictorLoader: give one")
        described = load.described()
    except ModuleMismatchError as error:
        _LOGGER.warning(
            "registry: versions are served without a trial in a process of their own, "
            "so that one that crashes ends this server: %s; or say why not with "
            "without_trial=",
            error,
        )
        return None
    timeout_seconds = options.load_timeout_seconds
    return lambda reference, goes_on: try_version(
        described, reference, timeout_seconds, goes_on
    )


def try_version(
    described: dict[str, Any],
    reference: str,
    timeout_seconds: float,
    goes_on: GoesOn = lambda: True,
) -> None:
    """Load a version and predict once with it, in a new process.

    Parameters
    ----------
    described : dict
        As `PredictorLoader.described` gives it.
    timeout_seconds : float
        For all of it, the imports of the process included.
    goes_on : callable
        Is asked again and again while this waits; the process is ended when it denies.

    Raises
    ------
    PredictionError
        When the process failed, died, or took too long.
    """
    asked = {
        "loader": described,
        "reference": reference,
        "path": [os.path.abspath(each) for each in sys.path],
        "timeout_seconds": timeout_seconds + _GRACE_SECONDS,
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Of its own group: Ctrl-C is the server's, and what it starts ends with it.
        start_new_session=True,
    )
    with process:
        try:
            answer = _answer_of(process, asked, timeout_seconds, goes_on)
        finally:
            _end(process)
    problem = _problem_in(answer, process.returncode)
    if problem:
        raise PredictionError(f"{reference}, tried in a process of its own, {problem}")


def _answer_of(
    process: subprocess.Popen[bytes],
    asked: dict[str, Any],
    timeout_seconds: float,
    goes_on: GoesOn,
) -> bytes:
    ends = time.monotonic() + timeout_seconds
    data: bytes | None = json.dumps(asked).encode()
    while True:
        try:
            return process.communicate(data, timeout=_WAIT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            data = None
        if not goes_on():
            raise PredictionError(
                f"the trial of {asked['reference']} was given up: it is not wanted now"
            )
        if time.monotonic() > ends:
            raise PredictionError(
                f"{asked['reference']}, tried in a process of its own, was not loaded "
                f"and asked within {timeout_seconds:g} seconds. If it takes so long, "
                "raise load_timeout_seconds (--load-timeout-seconds)"
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, if it lives, and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _problem_in(answer: bytes, status: int) -> str:
    """Return what went wrong; empty if nothing did."""
    try:
        told = json.loads(answer.splitlines()[-1])
    except (ValueError, IndexError):
        return f"died: {_shown(status)}. The log says more"
    return f"failed: {told['error']}" if told else ""


def _shown(status: int) -> str:
    if status >= 0:
        return f"it ended with status {status} before it had predicted"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
