"""Keeps every test away from the home and the settings of the person who runs it."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a machine that others use too.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a Flower home of its own; telemetry is read on import."""
    home = tempfile.TemporaryDirectory(prefix="flwr-home-")
    config.add_cleanup(home.cleanup)
    os.environ["FLWR_HOME"] = home.name
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name in ("FLWR_REGISTRY_URL", "FLWR_REGISTRY_STORAGE"):
        os.environ.pop(name, None)
