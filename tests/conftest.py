"""Keeps every test away from the home and the settings of the person who runs it."""

import functools
import os
import pickle
import random
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import s3fs
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from storage.s3_servers import CREDENTIALS, SERVERS

# How long an example takes says nothing on a machine that others use too.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("shared"), max_examples=20)
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a Flower home of its own; telemetry is read on import."""
    if config.getoption("markexpr") == "not slow":
        settings.load_profile("quick")
    _share_compiled_statements()
    _share_built_commands()
    home = tempfile.TemporaryDirectory(prefix="flwr-home-")
    config.add_cleanup(home.cleanup)
    os.environ["FLWR_HOME"] = home.name
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name in [each for each in os.environ if each.startswith("FLWR_REGISTRY_")]:
        del os.environ[name]


def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: slow tests wait half of their time.

    Those that wait are real federations, whose parts poll each other, and deadlines.
    """
    return (os.cpu_count() or 1) + 1


def _share_compiled_statements() -> None:
    """Let all engines of one dialect share what SQLAlchemy compiled.

    It compiles each statement anew for each engine, which nearly every test has one of:
    half of the time of the tests of a registry.
    """
    shared: LRUCache[Any, Any] = LRUCache(2000)
    ignored = lambda engine, value: None  # noqa: E731
    Engine._compiled_cache = property(lambda engine: shared, ignored)  # type: ignore
    DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore
    DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore


def _share_built_commands() -> None:
    """Let all calls of the command line share the commands that typer made of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import typer.testing
    typer.testing._get_command = functools.cache(typer.main.get_command)  # type: ignore


def _generator_states() -> dict[str, object]:
    states: dict[str, object] = {
        "random": random.getstate(),
        "numpy.random": pickle.dumps(np.random.get_state()),
    }
    if (torch := sys.modules.get("torch")) is not None:
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Undo what a shell does to background jobs, which processes begun here inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def untouched_generators() -> Iterator[None]:
    """Check that a test draws from no generator that a training may draw from."""
    before = _generator_states()
    yield
    for name, state in _generator_states().items():
        # Torch may have been imported meanwhile.
        assert before.get(name, state) == state, f"{name} was drawn from"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[Callable[[str], str]]:
    """Start an S3 server, with the bucket ``models``, when it is first asked for."""
    known: dict[str, str] = {}
    with ExitStack() as running:

        def endpoint(name: str) -> str:
            if name not in known:
                known[name] = running.enter_context(SERVERS[name]())
                system = s3fs.S3FileSystem(endpoint_url=known[name], **CREDENTIALS)
                system.call_s3("create_bucket", Bucket="models")
            return known[name]

        yield endpoint


@pytest.fixture
def s3_environment(
    s3_endpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set what AWS's own tools read, for a real S3 server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint("seaweedfs"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS["secret"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
