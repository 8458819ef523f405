"""Commands called as a user calls them."""

import warnings

import pytest

with warnings.catch_warnings():
    # typer 0.20 imports names that click 8.5 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from typer.testing import CliRunner

    from flwr_registry.cli import app


@pytest.fixture
def run_command(tmp_path):
    """Run a command on the registry of this test; return what it printed."""

    def run(*words, code=0):
        place = str(tmp_path / "registry.db")
        result = CliRunner().invoke(app, [*words, "--registry", place])
        assert code in (None, result.exit_code), result.output
        return result

    return run
