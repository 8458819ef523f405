"""A registry of each test's own."""

from pathlib import Path

import pytest

from flwr_registry import ModelRegistry


@pytest.fixture
def database(tmp_path: Path) -> str:
    """URL of a database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture
def registry(database: str):
    """A registry that is read after the run; opening it makes the database."""
    with ModelRegistry(database) as registry:
        yield registry
