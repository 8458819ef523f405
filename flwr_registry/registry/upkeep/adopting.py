"""Taking a storage over from another registry."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.ownership.identities import Identity, found_anew
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.ownership.root_marks import save_root_mark
from flwr_registry.registry.steps import Steps, byte_work, write
from flwr_registry.registry.upkeep.restoring import rebuild
from flwr_registry.storage import StorageBackend

__all__ = ["adopt"]


def adopt(root: OwnRoot, actor: str) -> Steps[list[str]]:
    """Restore what checkpoints tell of, then make the root this database's alone.

    A crash in between leaves it the other's, and can be repeated. Who had the root is
    refused there once it is opened again; one that is open writes on, and can delete
    nothing.
    """
    restored = yield from rebuild(root.storage)
    own = yield from write(partial(_found, storage=root.storage, actor=actor))
    mark = replace(root.here, id=own.registry_id)
    yield from byte_work(partial(save_root_mark, root.storage, mark))
    return restored


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
