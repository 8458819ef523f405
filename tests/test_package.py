"""The package as it is installed: light to import, complete, and typed."""

import email
import re
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

import flwr_registry
from flwr_registry.extras import how_to_install

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


@pytest.mark.slow
def test_types_know_every_public_name_and_no_other(tmp_path):
    known = ", ".join(flwr_registry.__all__)
    program = tmp_path / "program.py"
    program.write_text(
        f"from flwr_registry import {known}, __version__\n"
        "from flwr_registry import ModelRegistri\n"
        "from flwr_registry.storage import S3Storage\n"
        "from flwr_registry.serving import ModelServr\n"
        "reveal_type(RegistryError('x'))\n"
    )
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(program)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    assert [int(line.split(":")[1]) for line in told.splitlines()] == [2, 3, 4, 5]
    assert "errors.RegistryError" in told.splitlines()[-1]


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


@pytest.mark.slow
def test_the_wheel_holds_the_licence_and_says_what_it_is(tmp_path):
    checkout = Path(__file__).parents[1]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    done = subprocess.run(build, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        licence = archive.read("flwr_registry/LICENSE").decode()
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(archive.read(metadata))
    assert "Apache License" in licence and "Version 2.0" in licence
    folder = metadata.removesuffix("METADATA")
    assert f"{folder}licenses/flwr_registry/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"flwr_registry", folder[:-1]}
    assert (said["License-Expression"], said["License-File"]) == (
        "Apache-2.0",
        "flwr_registry/LICENSE",
    )
    for header in ("Author", "Keywords", "Project-URL", "Requires-Python", "Summary"):
        assert said[header], header
    assert "Typing :: Typed" in said.get_all("Classifier")
    assert not any(
        "safetensors" in each and "extra" not in each
        for each in said.get_all("Requires-Dist")
    )


def test_what_is_optional_is_installed_by_its_own_name():
    assert re.fullmatch(
        r"pip install 'torch[^' ]*' \(extra \[torch\]\)", how_to_install("torch")
    )
    both = how_to_install("postgres")
    assert "'asyncpg" in both and "'psycopg[binary]" in both
    assert "flwr-registry" not in both


def test_an_extra_that_the_metadata_does_not_know_is_named():
    told = how_to_install("none-such")
    assert told == "install the extra [none-such] of flwr-registry"
