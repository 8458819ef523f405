"""The registry for async services."""

from __future__ import annotations

from flwr_registry.registry.verbs.audit_verbs import AsyncAuditVerbs
from flwr_registry.registry.verbs.contributor_verbs import AsyncContributorVerbs
from flwr_registry.registry.verbs.drift_verbs import AsyncDriftVerbs
from flwr_registry.registry.verbs.exchange_verbs import AsyncExchangeVerbs
from flwr_registry.registry.verbs.labelling_verbs import AsyncLabellingVerbs
from flwr_registry.registry.verbs.lease_verbs import AsyncLeaseVerbs
from flwr_registry.registry.verbs.lineage_verbs import AsyncLineageVerbs
from flwr_registry.registry.verbs.place_verbs import AsyncPlaceVerbs
from flwr_registry.registry.verbs.promotion_verbs import AsyncPromotionVerbs
from flwr_registry.registry.verbs.reading_verbs import AsyncReadingVerbs
from flwr_registry.registry.verbs.recording_verbs import AsyncRecordingVerbs
from flwr_registry.registry.verbs.search_verbs import AsyncSearchVerbs
from flwr_registry.registry.verbs.upkeep_verbs import AsyncUpkeepVerbs

__all__ = ["AsyncModelRegistry"]


class AsyncModelRegistry(
    AsyncReadingVerbs,
    AsyncRecordingVerbs,
    AsyncLeaseVerbs,
    AsyncPromotionVerbs,
    AsyncLabellingVerbs,
    AsyncSearchVerbs,
    AsyncLineageVerbs,
    AsyncContributorVerbs,
    AsyncDriftVerbs,
    AsyncAuditVerbs,
    AsyncUpkeepVerbs,
    AsyncExchangeVerbs,
    AsyncPlaceVerbs,
):
    """`ModelRegistry` with the same verbs, awaited, on aiosqlite or asyncpg.

    Takes the parameters of `ModelRegistry`; the database is opened, and its errors are
    raised, by ``async with`` or by the first verb. It belongs to one event loop.
    """
