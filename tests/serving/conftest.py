"""A registry with versions whose predictions tell which one made them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from serving.networks import Net, constant_net

from flwr_registry import ModelRegistry, Predictor, described_model
from flwr_registry.records import ModelVersion, VersionMetadata
from flwr_registry.serving import ModelServer
from flwr_registry.serving.server_options import ServerOptions

FEATURES = np.arange(8, dtype=np.float32).reshape(2, 4)
CONFIG = described_model(Net, inputs={"features": FEATURES})


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """An empty registry."""
    with ModelRegistry(tmp_path / "registry.db", tmp_path / "weights") as opened:
        yield opened


@pytest.fixture
def add(registry: ModelRegistry) -> Callable[[float], ModelVersion]:
    """Register a network whose every score is a number."""

    def added(value: float, **options: object) -> ModelVersion:
        metadata = VersionMetadata(model_config=CONFIG, framework="pytorch")
        return registry.register(
            constant_net(value), model="digits", metadata=metadata, **options
        )

    return added


@pytest.fixture
def serve(registry: ModelRegistry) -> Callable[..., object]:
    """Serve the model of a registry over a real socket, within a block."""

    def load(reference: str) -> Predictor:
        return Predictor(reference, registry=registry)

    return partial(served, registry, load)


@contextmanager
def served(
    registry: ModelRegistry,
    load: Callable[[str], Predictor],
    reference: str = "digits",
    **options: object,
) -> Iterator[tuple[str, ModelServer]]:
    """Run a server in a thread; give its address and itself."""
    chosen = {"port": 0, "poll_seconds": 0.02, "shutdown_seconds": 5, **options}
    made = ModelServer(registry, reference, load, ServerOptions(**chosen))
    server = made.server()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server does not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", made
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server does not end"
