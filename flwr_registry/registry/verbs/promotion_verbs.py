"""Moving production, and naming and labelling versions."""

from __future__ import annotations

from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry

__all__ = ["AsyncPromotionVerbs", "PromotionVerbs"]


class PromotionVerbs(BlockingRegistry):
    """The verbs that govern versions."""


class AsyncPromotionVerbs(AwaitedRegistry):
    """The verbs of `PromotionVerbs`, awaited."""
