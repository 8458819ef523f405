"""Making the database anew from the checkpoints of a storage."""

from __future__ import annotations

from functools import partial

from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent, each_manifest
from flwr_registry.errors import InvalidNameError
from flwr_registry.registry.steps import Steps, byte_work, write
from flwr_registry.registry.versions.rebuilding import restore_run
from flwr_registry.registry.versions.stored_bytes import stored_weights
from flwr_registry.storage import StorageBackend

__all__ = ["rebuild"]


def rebuild(storage: StorageBackend) -> Steps[list[str]]:
    """Write the rows that are lost; return the references of the versions.

    Raises
    ------
    InvalidNameError
        When a model's name is another's in other letters; all else is restored then.
    """
    contents = yield from byte_work(partial(_newest_contents, storage))
    stored = yield from byte_work(partial(stored_weights, storage))
    restored: list[str] = []
    refusal: InvalidNameError | None = None
    for content in contents:
        try:
            restored += yield from write(
                partial(_restored, content=content, stored=stored)
            )
        except InvalidNameError as error:
            refusal = error
    if refusal is not None:
        raise refusal
    return restored


def _newest_contents(storage: StorageBackend) -> list[CheckpointContent]:
    """Return what each start of a run last told of itself."""
    newest: dict[str, CheckpointContent] = {}
    for found in each_manifest(storage):
        if found.manifest is not None:
            newest.setdefault(found.folder, found.manifest.content)
    return list(newest.values())


def _restored(
    session: Session, *, content: CheckpointContent, stored: frozenset[str]
) -> list[str]:
    versions = restore_run(session, content, stored=stored, renumber=True)
    return [f"{content.model}:{version}" for version in versions]
