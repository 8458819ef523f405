"""Who holds a run, and freeing it by hand."""

from __future__ import annotations

from flwr_registry.records import Lease
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.held_runs import held_run, release_run

__all__ = ["AsyncLeaseVerbs", "LeaseVerbs"]


class LeaseVerbs(BlockingRegistry):
    """The verbs about who writes a run."""

    def run_lease(self, run: str) -> Lease | None:
        """Tell which start of a run may write, and who holds it.

        Parameters
        ----------
        run : str
            Name of the run.

        Returns
        -------
        Lease or None
            Of the newest start; None when none ever took one.
        """
        return self._run(held_run(self.storage, run))

    def release_run(self, run: str, *, actor: str | None = None) -> Lease | None:
        """Free a run, so that its next start need not wait for the holder's lease.

        A holder that lives goes on to write until that start has begun, and can write
        nothing from then on.

        Parameters
        ----------
        run : str
            Name of the run.
        actor : str, optional
            Who frees it; by default the operating system's user.

        Returns
        -------
        Lease or None
            Of the newest start, which is free now; None when none ever took one.
        """
        return self._run(release_run(self.storage, run, current_actor(actor)))


class AsyncLeaseVerbs(AwaitedRegistry):
    """The verbs of `LeaseVerbs`, awaited."""

    async def run_lease(self, run: str) -> Lease | None:
        """Tell who holds a run; see `ModelRegistry.run_lease`."""
        return await self._run(held_run(self.storage, run))

    async def release_run(self, run: str, *, actor: str | None = None) -> Lease | None:
        """Free a run; see `ModelRegistry.release_run`."""
        return await self._run(release_run(self.storage, run, current_actor(actor)))
