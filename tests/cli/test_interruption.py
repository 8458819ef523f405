"""Ctrl-C ends the program with 130 at every moment; real processes, real signals."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import flwr_registry
from flwr_registry import ModelRegistry
from flwr_registry.records import Contribution, RoundFacts, RunProvenance

CHECKOUT = Path(flwr_registry.__file__).parents[1]
# Loaded by each Python before anything else: sends the signal at one moment.
INTERRUPTING = """
import atexit, os, signal, sys
moment = os.environ["MOMENT"]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(finder)
            os.kill(os.getpid(), signal.SIGINT)

finder = Finder()
sys.meta_path.insert(0, finder)
if moment == "exit":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""


pytestmark = pytest.mark.usefixtures("heeded_interrupts")


def start(folder, moment, *words, stdin=subprocess.DEVNULL):
    (folder / "sitecustomize.py").write_text(INTERRUPTING)
    environment = {
        **os.environ,
        "MOMENT": moment,
        "PYTHONPATH": os.pathsep.join([str(folder), str(CHECKOUT)]),
        "FLWR_HOME": str(folder),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "flwr_registry", *words],
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "moment",
    [
        "flwr_registry.cli",
        "typer.core",
        "sqlalchemy.orm",
        "sqlalchemy.dialects.sqlite",
        "exit",
    ],
)
def test_while_it_imports_and_while_it_ends(tmp_path, moment):
    ModelRegistry(tmp_path / "registry" / "registry.db").close()
    process = start(tmp_path, moment, "list")
    told, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert bool(told) == (moment == "exit")


@pytest.mark.slow
def test_while_it_asks(tmp_path):
    with ModelRegistry(tmp_path / "registry" / "registry.db") as registry:
        run = registry.start_run(RunProvenance("trial", "m"))
        facts = RoundFacts(1, contributions=[Contribution("7")])
        registry.register({"w": np.ones(1)}, model="m", run=run, facts=facts)
    terminal, end = pty.openpty()
    process = start(tmp_path, "", "withdraw", "7", stdin=end)
    asked = ""
    while "[y/N]" not in asked:
        piece = process.stderr.read(1)
        assert piece, asked
        asked += piece
    # Between the question and the read that waits, Python itself hears no signal.
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    os.close(terminal)
    os.close(end)
    assert process.returncode == 130, errors


@pytest.mark.slow
def test_who_is_told_not_to_heed_it_does_not(tmp_path):
    ModelRegistry(tmp_path / "registry" / "registry.db").close()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(tmp_path, "typer.core", "list")
        told, errors = process.communicate(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (process.returncode, errors) == (0, "")
    assert "no versions" in told
