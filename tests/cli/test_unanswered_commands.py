"""Commands on a registry whose database never answers."""

import socket
import time

import pytest
from typer.testing import CliRunner

from flwr_registry.cli import app


@pytest.fixture
def silent_server():
    """A place where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/registry"


@pytest.mark.slow
@pytest.mark.parametrize("words", [["list"], ["doctor"], ["database", "upgrade"]])
def test_a_command_ends_and_says_why(silent_server, words):
    began = time.monotonic()
    result = CliRunner().invoke(app, [*words, "--registry", silent_server])
    assert time.monotonic() - began < 60
    assert result.exit_code == 1
    assert result.output.startswith("Error: the database postgresql://postgres@127.0.0")
    assert "check" in result.output
