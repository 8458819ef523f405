"""Aliases, tags, pins and metadata of versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr_registry.metric_direction import Direction, known_direction
from flwr_registry.records import ModelVersion
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.promotion import best_version, labelling
from flwr_registry.registry.steps import read, write
from flwr_registry.registry.versions.actors import current_actor

__all__ = ["AsyncLabellingVerbs", "LabellingVerbs"]


class LabellingVerbs(BlockingRegistry):
    """The verbs that name and label versions."""

    def set_alias(
        self, model: str, alias: str, reference: str, *, actor: str | None = None
    ) -> ModelVersion:
        """Let an alias name a version, whatever it named before.

        Parameters
        ----------
        reference : str
            ``"1.4.0"`` is enough.

        Raises
        ------
        InvalidNameError
            For ``production``, ``latest``, or an alias that looks like a version.
        InvalidStateError
            For a version that failed validation or is withdrawn.
        """
        who = current_actor(actor)
        return self._run(
            write(lambda s: labelling.set_alias(s, model, alias, reference, who))
        )

    def name_best(
        self,
        model: str,
        metric: str,
        *,
        mode: Direction | None = None,
        actor: str | None = None,
    ) -> ModelVersion | None:
        """Let the alias ``best`` name the best version by a metric.

        Failed, withdrawn and superseded versions and those without bytes cannot be the
        best. Of equal ones it is the older.

        Parameters
        ----------
        metric : str
            Of several sources the most trusted one counts.
        mode : {"max", "min"}, optional
            Whether more or less of it is better. By default its name tells.

        Returns
        -------
        ModelVersion or None
            None where no version that can be the best has the metric; then the alias
            goes if what it names may not be used, and else stays.

        Raises
        ------
        ValueError
            When the metric's name does not tell which way is better, nor the mode.
        ModelNotFoundError
            When the model is unknown.
        """
        who, direction = current_actor(actor), known_direction(metric, mode)
        return self._run(
            write(lambda s: best_version.name_best(s, model, metric, direction, who))
        )

    def delete_alias(self, model: str, alias: str, *, actor: str | None = None) -> None:
        """Forget an alias.

        Raises
        ------
        ModelNotFoundError
            When there is none of this name.
        """
        who = current_actor(actor)
        self._run(write(lambda s: labelling.delete_alias(s, model, alias, who)))

    def set_tags(
        self,
        reference: str,
        tags: Mapping[str, str | None],
        *,
        actor: str | None = None,
    ) -> ModelVersion:
        """Set tags of a version; None removes one."""
        who = current_actor(actor)
        return self._run(write(lambda s: labelling.set_tags(s, reference, tags, who)))

    def edit_metadata(
        self, reference: str, *, actor: str | None = None, **edits: Any
    ) -> ModelVersion:
        """Change what is said about a version, never its bytes, parent or state.

        Parameters
        ----------
        **edits
            Fields of `VersionMetadata`, such as ``description``.

        Raises
        ------
        TypeError
            For another field, or a value of the wrong type.
        """
        who = current_actor(actor)
        return self._run(
            write(lambda s: labelling.edit_metadata(s, reference, edits, who))
        )

    def pin(self, reference: str, *, actor: str | None = None) -> ModelVersion:
        """Keep the bytes of a version whatever a retention policy says."""
        who = current_actor(actor)
        return self._run(write(lambda s: labelling.set_pinned(s, reference, True, who)))

    def unpin(self, reference: str, *, actor: str | None = None) -> ModelVersion:
        """Leave the bytes of a version to retention again."""
        who = current_actor(actor)
        return self._run(
            write(lambda s: labelling.set_pinned(s, reference, False, who))
        )

    def archive(
        self, reference: str, *, reason: str = "", actor: str | None = None
    ) -> ModelVersion:
        """Put a version aside, so that it is not promoted by mistake.

        Raises
        ------
        InvalidStateError
            For the production version, and for one that failed validation.
        """
        who = current_actor(actor)
        return self._run(write(lambda s: labelling.archive(s, reference, reason, who)))

    def aliases(self, model: str) -> dict[str, str]:
        """Map each alias of a model to the version that it names."""
        return self._run(read(lambda s: labelling.list_aliases(s, model)))


class AsyncLabellingVerbs(AwaitedRegistry):
    """The verbs of `LabellingVerbs`, awaited."""

    async def set_alias(
        self, model: str, alias: str, reference: str, *, actor: str | None = None
    ) -> ModelVersion:
        """Let an alias name a version; see `ModelRegistry.set_alias`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.set_alias(s, model, alias, reference, who))
        )

    async def name_best(
        self,
        model: str,
        metric: str,
        *,
        mode: Direction | None = None,
        actor: str | None = None,
    ) -> ModelVersion | None:
        """Let an alias name the best version; see `ModelRegistry.name_best`."""
        who, direction = current_actor(actor), known_direction(metric, mode)
        return await self._run(
            write(lambda s: best_version.name_best(s, model, metric, direction, who))
        )

    async def delete_alias(
        self, model: str, alias: str, *, actor: str | None = None
    ) -> None:
        """Forget an alias; see `ModelRegistry.delete_alias`."""
        who = current_actor(actor)
        await self._run(write(lambda s: labelling.delete_alias(s, model, alias, who)))

    async def set_tags(
        self,
        reference: str,
        tags: Mapping[str, str | None],
        *,
        actor: str | None = None,
    ) -> ModelVersion:
        """Set tags of a version; see `ModelRegistry.set_tags`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.set_tags(s, reference, tags, who))
        )

    async def edit_metadata(
        self, reference: str, *, actor: str | None = None, **edits: Any
    ) -> ModelVersion:
        """Change what is said about a version; see `ModelRegistry.edit_metadata`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.edit_metadata(s, reference, edits, who))
        )

    async def pin(self, reference: str, *, actor: str | None = None) -> ModelVersion:
        """Keep the bytes of a version; see `ModelRegistry.pin`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.set_pinned(s, reference, True, who))
        )

    async def unpin(self, reference: str, *, actor: str | None = None) -> ModelVersion:
        """Leave a version to retention; see `ModelRegistry.unpin`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.set_pinned(s, reference, False, who))
        )

    async def archive(
        self, reference: str, *, reason: str = "", actor: str | None = None
    ) -> ModelVersion:
        """Put a version aside; see `ModelRegistry.archive`."""
        who = current_actor(actor)
        return await self._run(
            write(lambda s: labelling.archive(s, reference, reason, who))
        )

    async def aliases(self, model: str) -> dict[str, str]:
        """Map aliases to versions; see `ModelRegistry.aliases`."""
        return await self._run(read(lambda s: labelling.list_aliases(s, model)))
