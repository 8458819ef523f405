"""Asking what came from what."""

from __future__ import annotations

from flwr_registry.records import Lineage
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.lineage.lineage import lineage_of
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions import queries
from flwr_registry.registry.versions.references import parse_reference

__all__ = ["AsyncLineageVerbs", "LineageVerbs"]


class LineageVerbs(BlockingRegistry):
    """The verbs that follow parents and children."""

    def lineage(self, reference: str) -> Lineage:
        """Find a version with all that it comes from and all that came of it."""
        return self._run(_lineage(reference))


class AsyncLineageVerbs(AwaitedRegistry):
    """The verbs of `LineageVerbs`, awaited."""

    async def lineage(self, reference: str) -> Lineage:
        """Find a version's past and future; see `ModelRegistry.lineage`."""
        return await self._run(_lineage(reference))


def _lineage(reference: str) -> Steps[Lineage]:
    wanted = parse_reference(reference)
    return read(
        lambda session: lineage_of(session, queries.find_version(session, wanted))
    )
