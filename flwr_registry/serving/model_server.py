"""The production version over HTTP, by the Open Inference Protocol."""

from __future__ import annotations

import gc
import math
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from flwr_registry.registry import ModelRegistry
from flwr_registry.serving.bounded_connections import (
    OpenConnections,
    free_descriptors,
)
from flwr_registry.serving.predictor import Predictor
from flwr_registry.serving.served_model import ServedModel
from flwr_registry.serving.server_options import ServerOptions
from flwr_registry.serving.server_routes import make_app
from flwr_registry.shown_text import OneLineLogger

__all__ = ["ModelServer"]

_LOGGER = OneLineLogger("flwr_registry")
_MAX_BACKLOG = 128


class ModelServer:
    """Serves what a reference names, and follows its promotions and rollbacks.

    Parameters
    ----------
    registry : ModelRegistry
        Where versions are looked up; it stays open.
    reference : str
        What to serve: a name for the model's production version, or any reference.
    load : callable
        Makes a `Predictor` of a reference to a single version. With a `PredictorLoader`
        a version that was not served before is tried in a process of its own first.
    options : ServerOptions, optional
        Address, token and limits.

    Attributes
    ----------
    model : ServedModel
        The version, the requests that wait, and what is counted.
    app : fastapi.FastAPI
        The application, for a server of your own.

    Examples
    --------
    >>> load = PredictorLoader(registry, Net)                   # doctest: +SKIP
    >>> ModelServer(registry, "digits", load).run()             # doctest: +SKIP
    """

    def __init__(
        self,
        registry: ModelRegistry,
        reference: str,
        load: Callable[[str], Predictor],
        options: ServerOptions | None = None,
    ) -> None:
        self.options = options or ServerOptions()
        self.model = ServedModel(registry, reference, load, self.options)
        self.app: FastAPI = make_app(self.model)

    def server(self) -> uvicorn.Server:
        """Return a server to run, in this thread or in another."""
        bound = _max_connections(self.options.max_connections)
        connections = OpenConnections(self.options, bound)
        return _AnnouncingServer(
            uvicorn.Config(
                self.app,
                host=self.options.host,
                port=self.options.port,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="none",
                http=connections.protocol,  # type: ignore[arg-type]
                # So many are taken at once before any can be sent away.
                backlog=min(_MAX_BACKLOG, max(1, bound // 2)),
                timeout_keep_alive=math.ceil(self.options.idle_seconds),
                timeout_graceful_shutdown=max(1, round(self.options.shutdown_seconds)),
            )
        )

    def run(self) -> None:
        """Serve until the process is told to end; requests under way are answered.

        Raises
        ------
        Exception
            Whatever keeps the version from being loaded; nothing listens then.
        """
        self.model.follower.load_first()
        # What is imported by now stays: looking through it again and again would hold
        # requests up for 50 ms each time.
        gc.collect()
        gc.freeze()
        self.server().run()


class _AnnouncingServer(uvicorn.Server):
    """Says where it listens, which matters when the port was left to the system."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for each in self.servers:
            host, port = each.sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            _LOGGER.info(
                "registry: listening on http://%s:%d (Open Inference Protocol under "
                "/v2, MLflow's /invocations, /metrics)",
                shown,
                port,
            )


def _max_connections(wanted: int) -> int:
    """Return how many connections leave files for the registry to open."""
    free = free_descriptors()
    if free is None or wanted <= free // 2:
        return wanted
    _LOGGER.warning(
        "registry: the system lets this process open %d more files, so at most %d "
        "connections are taken, not %d: raise 'ulimit -n'",
        free,
        max(1, free // 2),
        wanted,
    )
    return max(1, free // 2)
