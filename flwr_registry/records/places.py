"""Where a registry lies, and what lies there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StorageOwner", "Whereabouts"]


@dataclass(frozen=True, slots=True)
class StorageOwner:
    """What a storage says of the registry that it belongs to.

    Attributes
    ----------
    registry_id : str
        Its identity.
    database, host : str
        The database that wrote so, without its password, and its machine.
    """

    registry_id: str
    database: str
    host: str


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the database and the storage of a registry lie, and what lies there.

    Attributes
    ----------
    database, storage : str
        Their places, without passwords.
    database_origin, storage_origin : str
        Who says so: an argument, a variable of the environment, or nobody.
    registry_id : str
        The identity of the registry; empty before anything was stored.
    models : tuple of str
        Those that have a version.
    num_versions, num_runs : int
        Rows of the database.
    owner : StorageOwner or None
        Whose the storage is; None while nothing was stored there.
    stored_versions : int
        Versions that have a file in the storage, whoever wrote it.
    stored_runs : tuple of str
        Runs that have checkpoints there.
    storage_problem : str
        Why the storage could not be looked into; empty when it could.
    """

    database: str
    database_origin: str
    storage: str
    storage_origin: str
    registry_id: str
    models: tuple[str, ...]
    num_versions: int
    num_runs: int
    owner: StorageOwner | None
    stored_versions: int
    stored_runs: tuple[str, ...]
    storage_problem: str = ""

    @property
    def is_own(self) -> bool:
        """The storage is this registry's, or nobody's yet."""
        return self.owner is None or self.owner.registry_id == self.registry_id
