"""The README as a newcomer follows it: each fragment runs, on what the one before made.

Lines after ``$`` are run in one shell, those after ``>`` need more than the quickstart.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flwr_registry import ModelRegistry
from flwr_registry.strategy.options import RUN_CONFIG_KEYS

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
# No more than these: a server and its client, a killed run, and all tests.
NOT_RUN = ("bash .ci/run", "flwr run", "flwr-registry serve", "curl ")
NUMBERS = [f"1.{minor}.0" for minor in range(5)]
# What a reader has: an app's objects, and models that others trained.
OWN_OBJECTS = """
import sys
sys.path[:0] = [{tests!r}, {app!r}]
from federation.clients import Answer
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import Context, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg
from flwr_registry import *
from quickstart.task import Net, load_digits_tensors
import numpy as np
import xgboost
class Echo:
    def train(self, node_id, server_round, arrays, config):
        return Answer(1, {{"loss": 1.0}}, arrays)
    def evaluate(self, node_id, server_round, arrays, config):
        return Answer(1, {{"loss": 1.0}})
grid = InProcessGrid(Echo(), node_ids=(1, 2))
initial_arrays = to_record({{"w": np.ones(4, np.float32)}})
context = Context(1, 2, {{}}, RecordDict(), {{"registry-model": "configured"}})
images, labels = load_digits_tensors()
def my_function(weights, inputs):
    return inputs["input"] @ weights["w"]
with ModelRegistry() as registry:
    registry.register({{"w": np.ones((2, 1), np.float32)}}, model="line")
    trees = xgboost.train({{}}, xgboost.DMatrix(np.eye(4), label=np.arange(4.0)), 1)
    saved = np.frombuffer(trees.save_raw("json"), np.uint8)
    opaque = Weights({{"0": saved}}, opaque=True)
    registry.register(opaque, model="trees")
    for model in ("line", "trees"):
        registry.promote(model)
"""


def fragments(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def lines_after(prompt):
    return [
        line.removeprefix(prompt)
        for fragment in fragments("console")
        for line in fragment.splitlines()
        if line.startswith(prompt)
    ]


def test_few_lines_are_not_run_and_all_for_a_reason():
    assert [line for line in lines_after("> ") if not line.startswith(NOT_RUN)] == []
    assert len(lines_after("> ")) <= 5 < 20 < len(lines_after("$ "))
    for fragment in fragments("console"):
        assert re.match(r"[$>] ", fragment), "a fragment begins with a command"
    assert "What stands after `>` needs more" in README


def test_the_run_configuration_is_one():
    for fragment in fragments("toml"):
        config = tomllib.loads(fragment)["tool"]["flwr"]["app"]["config"]
        assert set(config) <= set(RUN_CONFIG_KEYS)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of what a newcomer has: the examples run in their folders."""
    copy = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns(".venv", ".flwr", "__pycache__")
    shutil.copytree(CHECKOUT / "examples", copy / "examples", ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def followed(checkout):
    """Run all lines after ``$`` in one shell, the quickstart first."""
    program = "\n".join(["set -e -x -o pipefail", *lines_after("$ ")])
    environment = {**os.environ, "EXAMPLE_VENV": sys.prefix}
    environment.pop("FLWR_HOME", None)
    return subprocess.run(
        ["bash", "-c", program],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_line_works_in_the_shell_that_ran_the_quickstart(followed, checkout):
    assert followed.returncode == 0, followed.stdout[-6000:]
    assert "Traceback" not in followed.stdout
    (line,) = re.findall(r"copy this line into your shell:\n(.*)\n", followed.stdout)
    assert line in lines_after("$ ")
    assert (checkout / "other" / "registry.db").is_file()
    home = checkout / "examples" / "quickstart" / ".flwr"
    with ModelRegistry(storage=home / "registry") as registry:
        rounds = {each.server_round: each for each in registry.list("digits")}
        first = registry.load(rounds[1].reference)
    assert [rounds[number].version for number in range(1, 6)] == NUMBERS
    assert [rounds[number].parent_version for number in range(2, 6)] == NUMBERS[:-1]
    assert rounds[5].val_loss < rounds[1].val_loss
    assert list(first) == [
        "hidden.weight",
        "hidden.bias",
        "output.weight",
        "output.bias",
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_python_fragment_runs(followed, checkout):
    assert followed.returncode == 0
    app = checkout / "examples" / "quickstart"
    own = OWN_OBJECTS.format(tests=str(CHECKOUT / "tests"), app=str(app))
    program = checkout / "fragments.py"
    program.write_text("\n".join([own, *fragments("python")]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=checkout,
        env={**os.environ, "FLWR_HOME": str(app / ".flwr")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-6000:]
