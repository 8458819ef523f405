"""Verifying, mending and giving up stored bytes."""

from __future__ import annotations

from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry

__all__ = ["AsyncUpkeepVerbs", "UpkeepVerbs"]


class UpkeepVerbs(BlockingRegistry):
    """The verbs that look after stored bytes."""


class AsyncUpkeepVerbs(AwaitedRegistry):
    """The verbs of `UpkeepVerbs`, awaited."""
