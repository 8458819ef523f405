"""A storage together with the database that may write to it."""

from __future__ import annotations

from flwr_registry.registry.ownership.claiming import claim_root
from flwr_registry.registry.ownership.root_marks import mark_here
from flwr_registry.registry.steps import Steps
from flwr_registry.storage import StorageBackend

__all__ = ["OwnRoot"]


class OwnRoot:
    """The storage of an opened registry, looked at once before it is written to.

    Parameters
    ----------
    storage : StorageBackend
        The storage.
    database : str
        Where the database is, without its password.

    Attributes
    ----------
    here : Mark
        The database, as it is marked in the storage.
    is_claimed : bool
        It was looked at.
    """

    def __init__(self, storage: StorageBackend, database: str) -> None:
        self.storage = storage
        self.here = mark_here(database)
        self.is_claimed = False

    def claim(self) -> Steps[None]:
        """Make sure that the storage is the database's; see `claim_root`."""
        if not self.is_claimed:
            yield from claim_root(self.storage, self.here)
            self.is_claimed = True
