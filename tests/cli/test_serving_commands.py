"""The command that serves, as its own process."""

import inspect
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import fields

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from flwr_registry import ModelRegistry
from flwr_registry.cli import app
from flwr_registry.cli.serving_commands import serve
from flwr_registry.serving.server_options import ServerOptions

MODULE = """
def double(weights, inputs):
    return inputs * weights["factor"]
"""


@pytest.fixture
def places(tmp_path):
    (tmp_path / "task.py").write_text(MODULE)
    places = ["--registry", str(tmp_path / "registry.db")]
    places += ["--storage", str(tmp_path / "weights")]
    with ModelRegistry(places[1], places[3]) as registry:
        registry.register({"factor": np.full(1, 2.0)}, model="digits")
        registry.promote("digits:1.0.0")
    return places


@contextmanager
def serving(places, tmp_path, *options):
    command = [sys.executable, "-m", "flwr_registry.cli", "serve", "--model", "digits"]
    command += ["--predict", "task:double", "--port", "0", *places, *options]
    # The app's module lies in the folder where the command runs.
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        try:
            assert "digits, in a process of its own" in process.stderr.readline()
            address = next(line for line in process.stderr if "http://" in line)
            yield address.split("http://")[1].split()[0], process
        finally:
            process.kill()


def test_a_model_is_served_and_the_process_ends_when_told(places, tmp_path):
    with serving(places, tmp_path) as (address, process):
        body = {"inputs": [[1.5, 2.5]]}
        answer = httpx.post(f"http://{address}/invocations", json=body)
        assert answer.json()["predictions"] == [[3.0, 5.0]]
        assert answer.json()["model_version"] == "1.0.0"
        process.send_signal(signal.SIGTERM)
        ends = time.monotonic() + 20
        while process.poll() is None:
            assert time.monotonic() < ends
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--host", "0.0.0.0"], "give a token"),
        (["--predict", "task"], "names no callable"),
        (["--model", "other"], "no model 'other'"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_listens(
    places, options, problem
):
    told = CliRunner().invoke(app, ["serve", "--model", "digits", *places, *options])
    assert told.exit_code in (1, 2)
    assert problem in told.output


def test_the_limits_of_the_command_are_those_of_the_server():
    """The command says them without loading the server, so both have them."""
    named = inspect.signature(serve).parameters
    options = ServerOptions()
    shared = [each.name for each in fields(options) if each.name in named]
    assert {"max_open_body_bytes", "max_connections", "transfer_seconds"} < set(shared)
    for name in shared:
        assert named[name].default == getattr(options, name), name
