"""Asking what came from what, and what differs."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from sqlalchemy.orm import Session

from flwr_registry.records import Lineage, ModelVersion, VersionDiff
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.lineage.diffing import diff
from flwr_registry.registry.lineage.lineage import (
    ancestors_of,
    descendants_of,
    lineage_of,
)
from flwr_registry.registry.lineage.lines import common_ancestor, path_between
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions import queries
from flwr_registry.registry.versions.references import parse_reference

__all__ = ["AsyncLineageVerbs", "LineageVerbs"]


class LineageVerbs(BlockingRegistry):
    """The verbs that follow parents and children."""

    def lineage(self, reference: str) -> Lineage:
        """Find a version with all that it comes from and all that came of it."""
        return self._run(_lineage(reference))

    def ancestors(self, reference: str) -> builtins.list[ModelVersion]:
        """List what a version was trained from, its parent first and the root last."""
        return self._run(_relatives(reference, ancestors_of))

    def descendants(self, reference: str) -> builtins.list[ModelVersion]:
        """List all that was trained from a version, over all branches, oldest first."""
        return self._run(_relatives(reference, descendants_of))

    def common_ancestor(self, a: str, b: str) -> ModelVersion | None:
        """Find the newest version that both come from; it may be one of them."""
        return self._run(_common(a, b))

    def path(self, a: str, b: str) -> tuple[ModelVersion, ...]:
        """List the versions from `a` over their common ancestor to `b`.

        Empty where nothing connects them.
        """
        return self._run(_path(a, b))

    def diff(self, a: str, b: str) -> VersionDiff:
        """Compare weights, metrics, contributors and configuration of two versions.

        Both files are verified and then streamed in blocks, so that models of any size
        take constant memory.

        Raises
        ------
        IntegrityError, StorageError
            When stored bytes are damaged or gone.
        """
        return self._run(diff(self.storage, a, b))


class AsyncLineageVerbs(AwaitedRegistry):
    """The verbs of `LineageVerbs`, awaited."""

    async def lineage(self, reference: str) -> Lineage:
        """Find a version's past and future; see `ModelRegistry.lineage`."""
        return await self._run(_lineage(reference))

    async def ancestors(self, reference: str) -> builtins.list[ModelVersion]:
        """List what a version comes from; see `ModelRegistry.ancestors`."""
        return await self._run(_relatives(reference, ancestors_of))

    async def descendants(self, reference: str) -> builtins.list[ModelVersion]:
        """List all that came of a version; see `ModelRegistry.descendants`."""
        return await self._run(_relatives(reference, descendants_of))

    async def common_ancestor(self, a: str, b: str) -> ModelVersion | None:
        """Find what both come from; see `ModelRegistry.common_ancestor`."""
        return await self._run(_common(a, b))

    async def path(self, a: str, b: str) -> tuple[ModelVersion, ...]:
        """List the versions between two; see `ModelRegistry.path`."""
        return await self._run(_path(a, b))

    async def diff(self, a: str, b: str) -> VersionDiff:
        """Compare two versions; see `ModelRegistry.diff`."""
        return await self._run(diff(self.storage, a, b))


def _lineage(reference: str) -> Steps[Lineage]:
    wanted = parse_reference(reference)
    return read(
        lambda session: lineage_of(session, queries.find_version(session, wanted))
    )


def _relatives(
    reference: str, walk: Callable[[Session, int], builtins.list[VersionRow]]
) -> Steps[builtins.list[ModelVersion]]:
    wanted = parse_reference(reference)

    def found(session: Session) -> builtins.list[ModelVersion]:
        version = queries.find_version(session, wanted)
        return [version_record(row) for row in walk(session, version.id)]

    return read(found)


def _common(a: str, b: str) -> Steps[ModelVersion | None]:
    both = parse_reference(a), parse_reference(b)
    return read(lambda session: common_ancestor(session, *both))


def _path(a: str, b: str) -> Steps[tuple[ModelVersion, ...]]:
    both = parse_reference(a), parse_reference(b)
    return read(lambda session: path_between(session, *both))
