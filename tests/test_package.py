"""The package as it is installed: light to import, complete, and typed."""

import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files

import pytest

import flwr_registry

HEAVY = ("alembic", "flwr", "fsspec", "ray", "rich", "s3fs", "sqlalchemy", "torch")
MODULES = """
import sys
{statement}
print(*(name for name in {names!r} if name in sys.modules))
"""


def modules_after(statement: str, names: tuple[str, ...]) -> list[str]:
    """Return which of `names` a new Python has loaded after `statement`."""
    code = MODULES.format(statement=statement, names=names)
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    assert modules_after("import flwr_registry", HEAVY) == []


def test_every_public_name_comes_without_torch_and_ray():
    statement = "from flwr_registry import *"
    assert modules_after(statement, ("sqlalchemy", "ray", "torch")) == ["sqlalchemy"]


@pytest.mark.parametrize("name", flwr_registry.__all__)
def test_every_public_name_resolves(name):
    assert getattr(flwr_registry, name) is not None
    assert name in dir(flwr_registry)


def test_public_names_are_sorted_and_unique():
    assert flwr_registry.__all__ == sorted(set(flwr_registry.__all__))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Registry'"):
        flwr_registry.Registry  # noqa: B018


def test_the_version_is_the_installed_one():
    assert flwr_registry.__version__ == version("flwr-registry")


def test_types_are_shipped():
    assert files("flwr_registry").joinpath("py.typed").is_file()


def test_the_command_is_installed():
    (command,) = entry_points(group="console_scripts", name="flwr-registry")
    assert callable(command.load())
