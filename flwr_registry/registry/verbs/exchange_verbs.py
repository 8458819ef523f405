"""Files in and out."""

from __future__ import annotations

from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry

__all__ = ["AsyncExchangeVerbs", "ExchangeVerbs"]


class ExchangeVerbs(BlockingRegistry):
    """The verbs that bring versions in and out."""


class AsyncExchangeVerbs(AwaitedRegistry):
    """The verbs of `ExchangeVerbs`, awaited."""
