"""Taking a storage over from another registry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from flwr_registry.errors import StorageOwnerError
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.ownership.identities import (
    Identity,
    find_identity,
    found_anew,
)
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.ownership.root_marks import (
    other_writers,
    read_root_mark,
    save_root_mark,
)
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.upkeep.restoring import rebuild
from flwr_registry.storage import StorageBackend

__all__ = ["adopt"]


def adopt(root: OwnRoot, actor: str) -> Steps[list[str]]:
    """Restore what checkpoints tell of, then make the root this database's alone.

    A crash in between leaves it the other's, and can be repeated. Who had the root is
    refused there once it is opened again; one that is open writes on, and can delete
    nothing. Where the root is this database's alone already, it keeps its identity: a
    backup of the database has the same.
    """
    restored = yield from rebuild(root.storage)
    own = yield from read(find_identity)
    if (yield from byte_work(partial(_has_alone, root, own))):
        yield from root.claim()
        return restored
    own = yield from write(partial(_found, storage=root.storage, actor=actor))
    mark = replace(root.here, id=own.registry_id)
    yield from byte_work(partial(save_root_mark, root.storage, mark))
    return restored


def _has_alone(root: OwnRoot, own: Identity) -> bool:
    # Marks that cannot be read are written anew.
    with suppress(StorageOwnerError):
        mark = read_root_mark(root.storage)
        others = other_writers(root.storage, own.database_id, root.here)
        is_own = mark is not None and mark.id in {own.registry_id, own.database_id}
        return is_own and not any(others)
    return False


def _found(session: Session, *, storage: StorageBackend, actor: str) -> Identity:
    own = found_anew(session)
    append_entry(
        session,
        action="adopt",
        actor=actor,
        model="",
        details={"storage": storage.url, "registry": own.registry_id},
    )
    return own
