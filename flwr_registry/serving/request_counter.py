"""Counts and times the requests of an application."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flwr_registry.serving.server_metrics import ServerMetrics

__all__ = ["CLIENT_GONE", "RequestCounter"]

# Paths that nobody serves are the caller's invention, and without number.
_UNKNOWN_ROUTE = "unknown"

CLIENT_GONE = 499
"""Status, in the counters alone, of a request whose client did not wait."""


class RequestCounter:
    """A middleware, which sees every request and its status.

    Parameters
    ----------
    app : ASGI application
        What answers.
    metrics : ServerMetrics
        Where to count.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and count it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = CLIENT_GONE

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        finally:
            route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
            seconds = time.perf_counter() - began
            self._metrics.note_request(route, status, seconds)
