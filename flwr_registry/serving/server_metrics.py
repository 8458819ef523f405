"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from flwr_registry.records import ModelVersion

__all__ = ["ServerMetrics"]

_PREFIX = "flwr_registry_"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """Counters of one server; those of several in a process do not meet."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry()
        counter = partial(Counter, registry=self._collectors)
        gauge = partial(Gauge, registry=self._collectors)
        histogram = partial(Histogram, registry=self._collectors)
        self._requests = counter(
            _PREFIX + "requests", "Requests by status.", ["route", "status"]
        )
        self._seconds = histogram(
            _PREFIX + "request_seconds", "Time to answer.", ["route"], buckets=_SECONDS
        )
        self._batch_rows = histogram(
            _PREFIX + "batch_rows", "Examples predicted at once.", buckets=_ROWS
        )
        self._examples = counter(
            _PREFIX + "examples", "Examples predicted.", ["version"]
        )
        self._loads = counter(
            _PREFIX + "version_loads", "Versions loaded to be served.", ["result"]
        )
        self._served = gauge(
            _PREFIX + "served_version_info",
            "The version that was loaded last.",
            ["model", "version", "digest"],
        )
        self._degraded = gauge(
            _PREFIX + "degraded", "1 when the server is not as it should be."
        )
        self._drift = gauge(
            _PREFIX + "drift",
            "How far live values are from the baseline.",
            ["tensor", "test"],
        )
        self._queued = gauge(_PREFIX + "queued_requests", "Requests that wait.")

    def note_load(self, version: ModelVersion, succeeded: bool) -> None:
        """Count an attempt to load a version; a success is what is served now."""
        self._loads.labels("loaded" if succeeded else "failed").inc()
        if succeeded:
            self._served.clear()
            labels = (version.model, version.version, version.checksum)
            self._served.labels(*labels).set(1)

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def note_batch(self, version: ModelVersion, rows: int) -> None:
        """Count examples that were predicted at once."""
        self._batch_rows.observe(rows)
        self._examples.labels(version.version).inc(rows)

    def exposed(
        self,
        *,
        degraded: bool,
        num_queued: int,
        drift: Mapping[str, Mapping[str, float]],
    ) -> bytes:
        """Return everything in Prometheus's text format."""
        self._drift.clear()
        for tensor, distances in drift.items():
            for test, distance in distances.items():
                self._drift.labels(tensor, test).set(distance)
        self._degraded.set(degraded)
        self._queued.set(num_queued)
        return generate_latest(self._collectors)
