"""Examples, run as a newcomer runs them; their registry is then read.

The quickstart is run with the README that begins with it, see test_readme.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flwr_registry import ModelRegistry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).parents[2] / "examples"
ARRAYS = {
    "legacy": [
        "hidden.weight",
        "hidden.bias",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
        "output.weight",
        "output.bias",
    ],
    "hospitals": ["weight", "bias"],
}
EXAMPLES_OF_NODES = {
    "legacy": [287, 287, 287, 288],
    "hospitals": [2, 15, 110, 276],
}


def run_example(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example's script in the environment of the tests."""
    return subprocess.run(
        ["bash", str(folder / "run.sh")],
        env={**os.environ, "EXAMPLE_VENV": sys.prefix},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def copied_examples(tmp_path_factory):
    """Return a copy of all examples: a run writes into their folders."""
    copy = tmp_path_factory.mktemp("checkout") / "examples"
    ignored = shutil.ignore_patterns(".venv", ".flwr", "__pycache__")
    shutil.copytree(EXAMPLES, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module", params=list(ARRAYS))
def finished(request, copied_examples):
    """Run one example; return its folder and what it printed."""
    folder = copied_examples / request.param
    process = run_example(folder)
    assert process.returncode == 0, process.stdout
    return folder, process.stdout


@pytest.fixture(scope="module")
def registry(finished):
    """Open the registry that the example wrote."""
    folder, _ = finished
    with ModelRegistry(storage=folder / ".flwr" / "registry") as opened:
        yield opened


@pytest.fixture
def versions(registry):
    """Return the versions in the order of their rounds."""
    return registry.list()[::-1]


def test_every_round_is_a_version_after_the_prior_one(versions):
    numbers = [f"1.{minor}.0" for minor in range(5)]
    assert [version.version for version in versions] == numbers
    assert [version.parent_version for version in versions] == [None, *numbers[:-1]]
    assert [version.server_round for version in versions] == [1, 2, 3, 4, 5]


def test_the_federation_has_learned(versions):
    losses = [version.val_loss for version in versions]
    assert losses[-1] < losses[0]


def test_every_node_is_named_with_its_examples(finished, registry, versions):
    contributions = registry.contributions(versions[-1].reference)
    examples = sorted(node.num_examples for node in contributions)
    assert examples == EXAMPLES_OF_NODES[finished[0].name]


def test_the_weights_have_the_names_of_the_model(finished, registry, versions):
    weights = registry.load(versions[-1].reference)
    assert list(weights) == ARRAYS[finished[0].name]


def test_the_output_ends_with_the_versions_and_their_line(finished, versions):
    _, output = finished
    table, tree = output.split("== flwr-registry l")[-2:]
    for version in versions:
        assert version.version in table
        assert version.version in tree


def test_no_superlink_is_left(finished):
    _, output = finished
    (port,) = re.findall(
        r"^Using SuperLink: example \(127\.0\.0\.1:(\d+)\)", output, re.M
    )
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


def test_the_shell_that_one_goes_on_in_starts_a_superlink_itself(finished):
    """One's own `flwr run` finds no address of a SuperLink that has ended."""
    folder, _ = finished
    assert not (folder / ".flwr" / "config.toml").exists()
    said = (folder / ".flwr" / "activate").read_text()
    assert "export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1" in said


def test_a_federation_that_fails_fails_the_script(copied_examples, tmp_path):
    examples = tmp_path / "examples"
    shutil.copytree(copied_examples, examples, ignore=shutil.ignore_patterns(".flwr"))
    pyproject = examples / "hospitals" / "pyproject.toml"
    configured = pyproject.read_text()
    broken = configured.replace("num-server-rounds = 5", 'num-server-rounds = "few"')
    assert broken != configured
    pyproject.write_text(broken)
    process = run_example(examples / "hospitals")
    assert process.returncode == 1
    assert "The federation did not complete" in process.stdout
