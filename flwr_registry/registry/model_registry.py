"""The registry: which model is which."""

from __future__ import annotations

from flwr_registry.registry.verbs.audit_verbs import AuditVerbs
from flwr_registry.registry.verbs.contributor_verbs import ContributorVerbs
from flwr_registry.registry.verbs.drift_verbs import DriftVerbs
from flwr_registry.registry.verbs.exchange_verbs import ExchangeVerbs
from flwr_registry.registry.verbs.labelling_verbs import LabellingVerbs
from flwr_registry.registry.verbs.lease_verbs import LeaseVerbs
from flwr_registry.registry.verbs.lineage_verbs import LineageVerbs
from flwr_registry.registry.verbs.place_verbs import PlaceVerbs
from flwr_registry.registry.verbs.promotion_verbs import PromotionVerbs
from flwr_registry.registry.verbs.reading_verbs import ReadingVerbs
from flwr_registry.registry.verbs.recording_verbs import RecordingVerbs
from flwr_registry.registry.verbs.search_verbs import SearchVerbs
from flwr_registry.registry.verbs.upkeep_verbs import UpkeepVerbs

__all__ = ["ModelRegistry"]


class ModelRegistry(
    ReadingVerbs,
    RecordingVerbs,
    LeaseVerbs,
    PromotionVerbs,
    LabellingVerbs,
    SearchVerbs,
    LineageVerbs,
    ContributorVerbs,
    DriftVerbs,
    AuditVerbs,
    UpkeepVerbs,
    ExchangeVerbs,
    PlaceVerbs,
):
    """Versions of models with their past, in one database and one storage.

    Every method is one or two short transactions and returns frozen records. It may be
    used from several threads, copied and pickled.

    Parameters
    ----------
    url : str or path, optional
        SQLAlchemy URL (SQLite or PostgreSQL) or path of an SQLite file. By default
        ``FLWR_REGISTRY_URL``, else ``registry.db`` in a local storage, else in
        ``registry/`` under Flower's home.
    storage : str, path or StorageBackend, optional
        Folder or fsspec URL of the weights. By default ``FLWR_REGISTRY_STORAGE``, else
        the folder of an SQLite file, else ``registry/`` under Flower's home.
    lock_timeout_seconds : float
        How long a transaction waits for those of other processes.
    timeout_seconds : float
        How long a transaction may take in all, connecting and committing included,
        whatever the database does; after that it raises `DatabaseTimeoutError`. So too
        each operation on the storage, see `BoundedStorage`.
    create : bool
        Make the database where there is none.
    node_key : str, optional
        A secret under which node ids are written as pseudonyms. By default
        ``FLWR_REGISTRY_NODE_KEY``, else ids are written as they are.

    Raises
    ------
    SchemaVersionError
        When the database belongs to an older or newer release.
    DatabaseError
        When it cannot be opened; the message says what to do.
    """
