"""Saying that a storage holds what its database does not know."""

from __future__ import annotations

from contextlib import suppress

from flwr_registry.cli.terminal import tell
from flwr_registry.errors import (
    DatabaseError,
    DatabaseNotFoundError,
    RegistryError,
    StorageError,
    StorageOwnerError,
    counted,
)
from flwr_registry.registry import (
    ModelRegistry,
    StorageContents,
    look_into,
    resolve_places,
)
from flwr_registry.storage import StorageBackend, bounded_storage, storage_from_url

__all__ = ["tell_after", "tell_unknown"]

# What is only said beside something else must not be waited for.
_LOOK_SECONDS = 5.0
_SHOWN = 3


def tell_after(error: Exception, url: str | None, storage: str | None) -> None:
    """Say after an error what the storage holds, if that may be what was looked for."""
    with suppress(RegistryError, ValueError):
        if isinstance(error, DatabaseNotFoundError):
            places = resolve_places(url, storage)
            found = places.storage
            place = storage_from_url(found) if isinstance(found, str) else found
            _tell(place, look_into(_briefly(place)), places.shown_database_url)
        elif not isinstance(error, DatabaseError | StorageError | StorageOwnerError):
            reference = getattr(error, "reference", "")
            with ModelRegistry(url, storage, create=False) as opened:
                tell_unknown(opened, reference)


def tell_unknown(opened: ModelRegistry, reference: str = "") -> None:
    """Say what the storage holds that an empty database does not know.

    Parameters
    ----------
    reference : str
        A version that was not found: what the storage holds of it is told in any case.
    """
    with suppress(RegistryError):
        is_empty = not opened.list(limit=1)
        if not (is_empty or reference):
            return
        found = look_into(_briefly(opened.storage))
        if is_empty or _has(found, reference, opened):
            _tell(opened.storage, found, opened.url)


def _has(found: StorageContents, reference: str, opened: ModelRegistry) -> bool:
    if reference in found.versions:
        return True
    model = reference.partition(":")[0].partition("@")[0]
    models = {each.partition(":")[0] for each in found.versions}
    return model in models and not opened.list(model, limit=1)


def _tell(storage: StorageBackend, found: StorageContents, database: str) -> None:
    if not (found.runs or found.versions):
        return
    versions = counted(len(found.versions), "version")
    holds = [f"files of {versions}"] if found.versions else []
    if found.runs:
        names = ", ".join(found.runs[:_SHOWN])
        more = ", ..." if len(found.runs) > _SHOWN else ""
        holds.insert(0, f"checkpoints of the runs {names}{more}")
        mend = (
            "'flwr-registry doctor --rebuild --registry "
            f"{database} --storage {storage.url}' brings back what they tell of"
        )
    else:
        mend = (
            "no checkpoint tells of them: bring the database back from a backup, or "
            "register the files anew"
        )
    text = (
        f"The storage {storage.url} holds {' and '.join(holds)} that the database "
        f"{database} does not know. If the database was lost, {mend}."
    )
    tell(text, color="yellow")


def _briefly(storage: StorageBackend) -> StorageBackend:
    return bounded_storage(storage, _LOOK_SECONDS)
