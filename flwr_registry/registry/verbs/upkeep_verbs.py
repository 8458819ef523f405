"""Verifying, mending and giving up stored bytes."""

from __future__ import annotations

import builtins

from flwr_registry.records import (
    Collection,
    Finding,
    Verification,
    VerificationSummary,
)
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.upkeep.collecting import GarbageRequest, collect_garbage
from flwr_registry.registry.upkeep.examining import examine
from flwr_registry.registry.upkeep.restoring import rebuild
from flwr_registry.registry.upkeep.verifying import Progress, verify, verify_all
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.retention import RetentionPolicy

__all__ = ["AsyncUpkeepVerbs", "UpkeepVerbs"]

_DAY_SECONDS = 24 * 60 * 60.0


class UpkeepVerbs(BlockingRegistry):
    """The verbs that look after stored bytes."""

    def verify(self, reference: str) -> Verification:
        """Read the bytes of a version and compare length and SHA-256.

        What is found is noted: `damaged_at` is set, or cleared when they are well.

        Raises
        ------
        StorageError
            When the storage does not answer: that says nothing about the bytes.
        """
        return self._run(verify(self.storage, reference))

    def verify_all(
        self, model: str | None = None, *, progress: Progress | None = None
    ) -> VerificationSummary:
        """Verify all versions that have bytes, as `verify` does.

        Parameters
        ----------
        model : str, optional
            Only this one.
        progress : callable, optional
            Called after each version with how many are done, and of how many.
        """
        return self._run(verify_all(self.storage, model, progress))

    def gc(
        self,
        policy: RetentionPolicy | None = None,
        *,
        model: str | None = None,
        dry_run: bool = False,
        grace_seconds: float = _DAY_SECONDS,
        actor: str | None = None,
    ) -> Collection:
        """Remove bytes that a policy gives up, and those that crashes left.

        Rows and lineage stay for ever. Never removed are the bytes of production and of
        what a rollback can go back to, of aliases, pins and roots, of the newest sound
        version of each model and run, and those that a checkpoint goes on from.

        Parameters
        ----------
        policy : RetentionPolicy, optional
            What keeps its bytes; by default everything does.
        model : str, optional
            The policy is for this model alone.
        dry_run : bool
            Only say what would go.
        grace_seconds : float
            Registrations that began longer ago and did not end are given up.
        """
        request = GarbageRequest(
            policy, model, dry_run, grace_seconds, current_actor(actor)
        )
        return self._run(collect_garbage(self.storage, request))

    def doctor(self, *, deep: bool = False) -> builtins.list[Finding]:
        """Find what is not as it should be; each finding says how to mend it.

        Parameters
        ----------
        deep : bool
            Read all bytes and compare digests, not only whether they are there.
        """
        return self._run(examine(self.storage, deep=deep))

    def rebuild(self) -> builtins.list[str]:
        """Write rows that are lost from the checkpoints in the storage.

        Versions, their lineage, rounds, metrics and contributions come back;
        promotions, aliases and pins are in no checkpoint.

        Returns
        -------
        list of str
            References of the versions that came back.
        """
        return self._run(rebuild(self.storage))


class AsyncUpkeepVerbs(AwaitedRegistry):
    """The verbs of `UpkeepVerbs`, awaited."""

    async def verify(self, reference: str) -> Verification:
        """Verify the bytes of a version; see `ModelRegistry.verify`."""
        return await self._run(verify(self.storage, reference))

    async def verify_all(
        self, model: str | None = None, *, progress: Progress | None = None
    ) -> VerificationSummary:
        """Verify all versions; see `ModelRegistry.verify_all`."""
        return await self._run(verify_all(self.storage, model, progress))

    async def gc(
        self,
        policy: RetentionPolicy | None = None,
        *,
        model: str | None = None,
        dry_run: bool = False,
        grace_seconds: float = _DAY_SECONDS,
        actor: str | None = None,
    ) -> Collection:
        """Remove bytes that nothing needs; see `ModelRegistry.gc`."""
        request = GarbageRequest(
            policy, model, dry_run, grace_seconds, current_actor(actor)
        )
        return await self._run(collect_garbage(self.storage, request))

    async def doctor(self, *, deep: bool = False) -> builtins.list[Finding]:
        """Find what is not as it should be; see `ModelRegistry.doctor`."""
        return await self._run(examine(self.storage, deep=deep))

    async def rebuild(self) -> builtins.list[str]:
        """Write rows that are lost; see `ModelRegistry.rebuild`."""
        return await self._run(rebuild(self.storage))
