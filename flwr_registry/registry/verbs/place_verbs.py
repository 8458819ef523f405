"""Asking where a registry lies."""

from __future__ import annotations

from flwr_registry.records import Whereabouts
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.upkeep.whereabouts import find_whereabouts

__all__ = ["AsyncPlaceVerbs", "PlaceVerbs"]


class PlaceVerbs(BlockingRegistry):
    """The verb that tells of places."""

    def where(self) -> Whereabouts:
        """Tell which database and storage these are, why, and what lies there.

        A storage that does not answer is told of in the result.

        Raises
        ------
        DatabaseError
            When the database does not answer.
        """
        return self._run(find_whereabouts(self._places, self.storage))


class AsyncPlaceVerbs(AwaitedRegistry):
    """The verb of `PlaceVerbs`, awaited."""

    async def where(self) -> Whereabouts:
        """Tell where the registry lies; see `ModelRegistry.where`."""
        return await self._run(find_whereabouts(self._places, self.storage))
