"""Verifying, mending and giving up stored bytes."""

from __future__ import annotations

import builtins
from datetime import timedelta

from flwr_registry.records import (
    Collection,
    ExplainedVersion,
    Finding,
    UnknownDeletion,
    Verification,
    VerificationSummary,
)
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.upkeep.adopting import adopt
from flwr_registry.registry.upkeep.collecting import GarbageRequest
from flwr_registry.registry.upkeep.owned_collecting import (
    collect_own_garbage,
    delete_own_unknown,
    explain_own_garbage,
)
from flwr_registry.registry.upkeep.owned_examining import examine_own_root
from flwr_registry.registry.upkeep.restoring import rebuild
from flwr_registry.registry.upkeep.sealing import seal_checkpoints
from flwr_registry.registry.upkeep.unknown_files import UnknownRequest
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

        Rows and lineage stay for ever. Never removed are the bytes of versions that are
        or ever were in production, of aliases, pins and roots, of the newest sound
        version of each model and run, and those that a checkpoint goes on from. What
        this database did not write is never removed, see `delete_unknown`.

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

        Raises
        ------
        StorageOwnerError
            When the storage is another registry's.
        """
        request = GarbageRequest(
            policy, model, dry_run, grace_seconds, current_actor(actor)
        )
        return self._run(collect_own_garbage(self._root, request))

    def explain_gc(
        self, policy: RetentionPolicy | None = None, *, model: str | None = None
    ) -> builtins.list[ExplainedVersion]:
        """Tell of each version why `gc` with a policy leaves or removes its bytes.

        Nothing is changed.

        Parameters
        ----------
        policy : RetentionPolicy, optional
            What keeps its bytes; by default everything does.
        model : str, optional
            Only this one.

        Returns
        -------
        list of ExplainedVersion
            Model by model, the newest version first.
        """
        return self._run(explain_own_garbage(self._root, policy, model))

    def delete_unknown(
        self,
        *,
        older_than: timedelta,
        dry_run: bool = False,
        actor: str | None = None,
    ) -> UnknownDeletion:
        """Delete stored files that nothing of this database wrote, and that are old.

        They may be another registry's, or of a database that was lost. What a
        checkpoint names stays, of whatever run; so do links and names that no registry
        gives. `doctor` lists them.

        Parameters
        ----------
        older_than : timedelta
            What was written later stays.
        dry_run : bool
            Only say what would go.

        Raises
        ------
        InvalidStateError
            While the files may become known again: this database has no version at all,
            a checkpoint tells of versions that it lacks, or one cannot be read. Also
            while another database writes to the storage.
        StorageOwnerError
            When the storage is another registry's.
        ValueError
            When `older_than` is not above zero.
        """
        request = UnknownRequest(older_than, dry_run, current_actor(actor))
        return self._run(delete_own_unknown(self._root, request))

    def doctor(self, *, deep: bool = False) -> builtins.list[Finding]:
        """Find what is not as it should be; each finding says how to mend it.

        Parameters
        ----------
        deep : bool
            Read all bytes and compare digests, not only whether they are there.
        """
        return self._run(examine_own_root(self._root, deep=deep))

    def rebuild(self) -> builtins.list[str]:
        """Write rows that are lost from the checkpoints in the storage.

        Versions, their lineage, rounds, metrics and contributions come back;
        promotions, aliases and pins are in no checkpoint.

        Returns
        -------
        list of str
            References of the versions that came back.

        Raises
        ------
        StorageOwnerError
            When the storage is another registry's; see `adopt`.
        """
        return self._run(self._in_own_root(rebuild(self.storage)))

    def seal_checkpoints(self, *, replace: bool = False) -> builtins.list[str]:
        """Seal checkpoints that have no seal, with ``FLWR_REGISTRY_SEAL_KEY``.

        Parameters
        ----------
        replace : bool
            Also those whose seal is of another key.

        Returns
        -------
        list of str
            Names of the checkpoints that have a new seal.

        Raises
        ------
        SealError
            When no key is set, or a seal is wrong that shall not be replaced.
        IntegrityError, CheckpointError
            For the first one that is damaged; all others are sealed.
        """
        steps = seal_checkpoints(self.storage, replace=replace)
        return self._run(self._in_own_root(steps))

    def adopt(self, *, actor: str | None = None) -> builtins.list[str]:
        """Take over a storage that is another registry's.

        Rows are written from the checkpoints first, as `rebuild` does. The database
        that had the storage can write nothing there once it is opened again; one that
        is open writes on, and can delete nothing. A storage that is this registry's
        alone already stays so.

        Parameters
        ----------
        actor : str, optional
            Who does it; by default the operating system's user.

        Returns
        -------
        list of str
            References of the versions that came back.
        """
        who = current_actor(actor)
        return self._run(adopt(self._root, who))

    def claim_storage(self) -> None:
        """Make sure that the storage is this registry's, as all verbs that write do.

        It is looked at once; a storage that nobody has becomes this registry's.

        Raises
        ------
        StorageOwnerError
            When it is another registry's, and this database has a past of its own.
        StorageError
            When it does not answer.
        """
        self._run(self._root.claim())


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
        return await self._run(collect_own_garbage(self._root, request))

    async def explain_gc(
        self, policy: RetentionPolicy | None = None, *, model: str | None = None
    ) -> builtins.list[ExplainedVersion]:
        """Tell why versions keep their bytes; see `ModelRegistry.explain_gc`."""
        return await self._run(explain_own_garbage(self._root, policy, model))

    async def delete_unknown(
        self,
        *,
        older_than: timedelta,
        dry_run: bool = False,
        actor: str | None = None,
    ) -> UnknownDeletion:
        """Delete unknown files; see `ModelRegistry.delete_unknown`."""
        request = UnknownRequest(older_than, dry_run, current_actor(actor))
        return await self._run(delete_own_unknown(self._root, request))

    async def doctor(self, *, deep: bool = False) -> builtins.list[Finding]:
        """Find what is not as it should be; see `ModelRegistry.doctor`."""
        return await self._run(examine_own_root(self._root, deep=deep))

    async def rebuild(self) -> builtins.list[str]:
        """Write rows that are lost; see `ModelRegistry.rebuild`."""
        return await self._run(self._in_own_root(rebuild(self.storage)))

    async def seal_checkpoints(self, *, replace: bool = False) -> builtins.list[str]:
        """Seal checkpoints; see `ModelRegistry.seal_checkpoints`."""
        steps = seal_checkpoints(self.storage, replace=replace)
        return await self._run(self._in_own_root(steps))

    async def adopt(self, *, actor: str | None = None) -> builtins.list[str]:
        """Take over another registry's storage; see `ModelRegistry.adopt`."""
        who = current_actor(actor)
        return await self._run(adopt(self._root, who))

    async def claim_storage(self) -> None:
        """See that the storage is ours; see `ModelRegistry.claim_storage`."""
        await self._run(self._root.claim())
