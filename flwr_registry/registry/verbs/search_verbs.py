"""Finding versions by an expression."""

from __future__ import annotations

from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry

__all__ = ["AsyncSearchVerbs", "SearchVerbs"]


class SearchVerbs(BlockingRegistry):
    """The verbs that search."""


class AsyncSearchVerbs(AwaitedRegistry):
    """The verbs of `SearchVerbs`, awaited."""
