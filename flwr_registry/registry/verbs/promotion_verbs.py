"""Moving production."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from flwr_registry.records import ModelVersion, Promotion
from flwr_registry.registry.awaited_registry import AwaitedRegistry
from flwr_registry.registry.blocking_registry import BlockingRegistry
from flwr_registry.registry.promotion import history
from flwr_registry.registry.promotion.gates import PromotionGate
from flwr_registry.registry.promotion.promoting import PromotionRequest, promote
from flwr_registry.registry.promotion.rolling_back import roll_back
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions.queries import find_record
from flwr_registry.registry.versions.references import PRODUCTION, Reference
from flwr_registry.registry.versions.stored_bytes import read_stored
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import Weights, load_weights

__all__ = ["AsyncPromotionVerbs", "PromotionVerbs"]


class PromotionVerbs(BlockingRegistry):
    """The verbs that move production, and tell its history."""

    def promote(
        self,
        reference: str,
        *,
        expect: str | None = None,
        gates: Sequence[PromotionGate] = (),
        skip_gates: bool = False,
        allow_archived: bool = False,
        reason: str = "",
        actor: str | None = None,
    ) -> ModelVersion:
        """Put a version into production; the former one is archived.

        The stored bytes are verified first. Repeated, it changes nothing.

        Parameters
        ----------
        reference : str
            As for `get`.
        expect : str, optional
            The version that is in production now, or ``"none"``; with another one
            nothing changes.
        gates : sequence of PromotionGate
            What the version must show.
        skip_gates : bool
            Promote it whatever the gates say; the audit log tells what they said.
        allow_archived : bool
            Promote it also when it is archived, as what was put aside, replaced or
            rolled back from is, if it passes the gates; the audit log tells so.
        reason : str
            Why, for history and audit log.
        actor : str, optional
            Who; by default the operating system's user.

        Raises
        ------
        PromotionRefusedError
            Naming the gates that the version did not pass.
        PromotionConflictError
            When another version is in production than expected.
        InvalidStateError
            When the version failed, is withdrawn or archived, or has no bytes.
        IntegrityError, StorageError
            When its bytes are damaged or gone.
        """
        request = PromotionRequest(
            reference, expect, gates, skip_gates, allow_archived, reason, actor
        )
        return self._run(promote(self.storage, request))

    def rollback(
        self,
        model: str,
        *,
        to: str | None = None,
        reason: str = "",
        actor: str | None = None,
    ) -> ModelVersion:
        """Go back to the version that was in production before, and return it.

        Repeated, it walks further back; it never returns to what was rolled back.
        Versions that failed, were withdrawn or lost their bytes are passed over.

        Parameters
        ----------
        model : str
            The model.
        to : str, optional
            A version that was in production at some time.
        reason, actor : str
            As for `promote`.

        Raises
        ------
        RollbackError
            When there is nothing to go back to.
        IntegrityError, StorageError
            When the bytes to go back to are damaged or gone; nothing changed.
        """
        return self._run(roll_back(self.storage, model, to, reason=reason, actor=actor))

    def production(self, model: str) -> ModelVersion:
        """Find the version in production.

        Raises
        ------
        NoProductionModelError
            When there is none.
        """
        wanted = Reference(model, alias=PRODUCTION)
        return self._run(read(lambda session: find_record(session, wanted)))

    def get_production_model(self, model: str) -> tuple[Weights, ModelVersion]:
        """Read the weights in production, verified against their SHA-256.

        Weights and record are of one version, also when a promotion comes in between.

        Parameters
        ----------
        model : str
            The model's name.

        Returns
        -------
        tuple of Weights and ModelVersion
            The weights, and the record of the version that they belong to.

        Raises
        ------
        NoProductionModelError
            When there is none.
        ModelNotFoundError
            When the model is unknown.
        IntegrityError, ObjectNotFoundError, InvalidStateError
            As `load` does.
        """
        return self._run(_production_model(self.storage, model))

    def production_at(self, model: str, time: datetime) -> ModelVersion | None:
        """Find what was in production at a time, with its present state.

        Parameters
        ----------
        time : datetime
            With a time zone.
        """
        return self._run(read(lambda s: history.production_at(s, model, time)))

    def history(self, model: str) -> builtins.list[Promotion]:
        """List the changes of the production version, newest first."""
        return self._run(read(lambda s: history.list_promotions(s, model)))


class AsyncPromotionVerbs(AwaitedRegistry):
    """The verbs of `PromotionVerbs`, awaited."""

    async def promote(
        self,
        reference: str,
        *,
        expect: str | None = None,
        gates: Sequence[PromotionGate] = (),
        skip_gates: bool = False,
        allow_archived: bool = False,
        reason: str = "",
        actor: str | None = None,
    ) -> ModelVersion:
        """Put a version into production; see `ModelRegistry.promote`."""
        request = PromotionRequest(
            reference, expect, gates, skip_gates, allow_archived, reason, actor
        )
        return await self._run(promote(self.storage, request))

    async def rollback(
        self,
        model: str,
        *,
        to: str | None = None,
        reason: str = "",
        actor: str | None = None,
    ) -> ModelVersion:
        """Go back to a former production version; see `ModelRegistry.rollback`."""
        return await self._run(
            roll_back(self.storage, model, to, reason=reason, actor=actor)
        )

    async def production(self, model: str) -> ModelVersion:
        """Find the version in production; see `ModelRegistry.production`."""
        wanted = Reference(model, alias=PRODUCTION)
        return await self._run(read(lambda session: find_record(session, wanted)))

    async def get_production_model(self, model: str) -> tuple[Weights, ModelVersion]:
        """Read what is in production; see `ModelRegistry.get_production_model`."""
        return await self._run(_production_model(self.storage, model))

    async def production_at(self, model: str, time: datetime) -> ModelVersion | None:
        """Find what was in production; see `ModelRegistry.production_at`."""
        return await self._run(read(lambda s: history.production_at(s, model, time)))

    async def history(self, model: str) -> builtins.list[Promotion]:
        """List the changes of production; see `ModelRegistry.history`."""
        return await self._run(read(lambda s: history.list_promotions(s, model)))


def _production_model(
    storage: StorageBackend, model: str
) -> Steps[tuple[Weights, ModelVersion]]:
    return read_stored(
        Reference(model, alias=PRODUCTION),
        lambda stored: load_weights(storage, stored),
    )
