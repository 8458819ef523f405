"""Whose the files of a storage are, as this database knows it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.storage import ListedFile, StorageBackend, listed_files

__all__ = [
    "ROOT",
    "Owner",
    "batches",
    "folder_of",
    "hold_models_of",
    "owners",
    "sorted_files",
]

ROOT = "models"
_AT_ONCE = 500

Item = TypeVar("Item")


class Owner(Enum):
    """To what a file belongs."""

    VERSION = "a version that has its bytes"
    REMOVED_VERSION = "a version whose bytes were given up"
    UPLOAD = "a registration that has begun"
    UNKNOWN = "nothing that this database knows"


def sorted_files(
    storage: StorageBackend, *, without: Collection[int] = ()
) -> Steps[list[tuple[ListedFile, Owner]]]:
    """List the stored weights, each with what it belongs to.

    Parameters
    ----------
    without : collection of int
        Uploads that do not count.
    """
    files = yield from byte_work(lambda: listed_files(storage, ROOT))
    found: list[tuple[ListedFile, Owner]] = []
    for some in batches(files, _AT_ONCE):
        keys = [each.key for each in some]
        known = yield from read(partial(owners, keys=keys, without=without))
        found += [(each, known[each.key]) for each in some]
    return found


def owners(
    session: Session, keys: Sequence[str], *, without: Collection[int] = ()
) -> Mapping[str, Owner]:
    """Tell what each key belongs to.

    Parameters
    ----------
    without : collection of int
        Uploads that do not count.
    """
    known = [key for key in keys if key.isascii()]  # no row has another one
    rows = session.execute(
        select(VersionRow.storage_path, VersionRow.bytes_removed_at.is_not(None)).where(
            VersionRow.storage_path.in_(known)
        )
    )
    removed = {key: bool(is_removed) for key, is_removed in rows}
    query = select(UploadRow.storage_prefix).where(
        UploadRow.storage_prefix.in_({folder_of(key) for key in known}),
        UploadRow.id.not_in(without),
    )
    written = set(session.scalars(query))
    return {key: _owner(key, removed.get(key), written) for key in keys}


def _owner(key: str, removed: bool | None, written: Collection[str]) -> Owner:
    if removed is False:
        return Owner.VERSION
    if folder_of(key) in written:
        return Owner.UPLOAD
    return Owner.UNKNOWN if removed is None else Owner.REMOVED_VERSION


def hold_models_of(session: Session, keys: Iterable[str]) -> None:
    """Hold the models that files belong to, as far as they are known.

    A writer that takes up a number in between, and would save the same bytes under the
    same key, has to wait.
    """
    known = set(session.scalars(select(ModelRow.name)))
    for model in sorted({key.split("/")[1] for key in keys} & known):
        hold_model(session, model)


def folder_of(key: str) -> str:
    """Return the folder of a key, which is that of its version's number."""
    return key.rpartition("/")[0]


def batches(items: Iterable[Item], at_once: int) -> Iterator[list[Item]]:
    """Split what is too much for one transaction."""
    left = iter(items)
    while some := list(islice(left, at_once)):
        yield some
