"""A registration from its number to its row."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.errors import (
    DatabaseError,
    RegistryError,
    StorageError,
    StorageTimeoutError,
    ValidationError,
)
from flwr_registry.records import ModelVersion, StoredObject
from flwr_registry.registry.ownership.identities import make_identity
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.steps import FAILURES, Steps, byte_work, write
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.removed_bytes import refuse_removed_bytes
from flwr_registry.registry.versions.version_writing import (
    Reservation,
    commit_version,
    is_reserved,
    refuse_other_bytes,
    release_upload,
    reserve_version,
)
from flwr_registry.storage import DIGEST, Content, StorageBackend, digest_of
from flwr_registry.validation import Candidate, ModelValidator
from flwr_registry.weights import (
    Architecture,
    ModelFile,
    Weights,
    encode,
    read_model_file,
)

__all__ = ["register", "register_source"]


def register_source(
    root: OwnRoot,
    source: Any,
    reference: Architecture | None,
    **said: Any,
) -> Steps[ModelVersion]:
    """Check what a caller wants to register, and register it.

    Parameters
    ----------
    source : Weights, mapping of arrays or tensors, torch module, bytes or path
        What shall be registered.
    reference : Architecture or None
        Where it has integers or narrower floats, those of the weights count as what
        arithmetic made of them.
    **said
        As `Registration.checked` takes them.

    Raises
    ------
    ValidationError
        When the weights are unfit and the caller does not say so; nothing was written.
    """
    # Names and numbers first: they are cheaper to check than files.
    Registration.checked(fingerprint="", **said)
    model = yield from byte_work(partial(_model_of, source))
    if said["facts"] is None and not said["errors"]:
        yield from byte_work(partial(_refuse_unfit, model.weights))
    fingerprint = Architecture.of(model.weights, reference).fingerprint
    registration = Registration.checked(fingerprint=fingerprint, **said)
    return (yield from register(root, registration, model.content))


def _model_of(source: Any) -> ModelFile:
    if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike):
        return read_model_file(source)
    weights = Weights.of(source)
    return ModelFile(weights, encode(weights))


def _refuse_unfit(weights: Weights) -> None:
    """Validate what no strategy has validated before."""
    errors = ModelValidator().model_errors(Candidate(weights))
    if errors:
        raise ValidationError(
            f"the weights are not registered: {'; '.join(errors)}. To keep them all "
            "the same, say errors=[...]: they are recorded as failed",
            errors=errors,
        )


def register(
    root: OwnRoot, registration: Registration, content: Content
) -> Steps[ModelVersion]:
    """Make content a durable version: bytes first, row last.

    Raises
    ------
    DuplicateVersionError
        When the version, or the round, is registered with other bytes.
    InvalidStateError
        When it is registered with the same, but retention removed them.
    StorageError, DatabaseError
        When saving failed; nothing half-written is visible.
    StorageOwnerError
        When the storage is another registry's.
    FencedError
        When a newer start of the run has begun.
    """
    while True:
        reserved = yield from write(partial(_reserve, root, registration))
        if isinstance(reserved, ModelVersion):
            digest = yield from byte_work(lambda: digest_of(content))
            return refuse_removed_bytes(refuse_other_bytes(reserved, digest))
        stored = yield from _save(root, reserved, content)
        registered = yield from _commit(root.storage, reserved, stored)
        if registered.storage_path == stored.key:
            return registered
        # These bytes were registered before, or another writer was faster. What cannot
        # be deleted is left to garbage collection, and no reason to fail.
        with suppress(RegistryError):
            yield from _take_back(root.storage, reserved, stored)
        if registered.checksum == stored.sha256:
            return registered


def _reserve(
    root: OwnRoot, registration: Registration, session: Session
) -> Reservation | ModelVersion:
    reserved = reserve_version(session, registration)
    if not root.is_claimed:
        # Here it costs no transaction of its own.
        make_identity(session)
    return reserved


def _save(
    root: OwnRoot, reserved: Reservation, content: Content
) -> Steps[StoredObject]:
    try:
        yield from _claim(root, reserved.key)
        save = partial(root.storage.save, reserved.key, content)
        return (yield from byte_work(save))
    except FAILURES:
        # The number is given back; the error of the storage is the one to see.
        with suppress(RegistryError):
            yield from _release(reserved)
        raise


def _claim(root: OwnRoot, key: str) -> Steps[None]:
    try:
        yield from root.claim()
    except StorageTimeoutError:
        raise
    except StorageError as error:
        message = f"cannot save {key.replace(DIGEST, '*')}: {error}"
        raise StorageError(message, key=key) from error


def _commit(
    storage: StorageBackend, reserved: Reservation, stored: StoredObject
) -> Steps[ModelVersion]:
    try:
        return (yield from write(lambda s: commit_version(s, reserved, stored)))
    except DatabaseError:
        # A database that just failed is not asked to undo anything.
        raise
    except FAILURES:
        with suppress(RegistryError):
            yield from _take_back(storage, reserved, stored)
        raise


def _take_back(
    storage: StorageBackend, reserved: Reservation, stored: StoredObject
) -> Steps[None]:
    """Remove bytes that were not committed, and give their number back.

    Only while the number is held is the file nobody else's, and no version's.
    """
    if (yield from write(lambda s: is_reserved(s, reserved), always=True)):
        yield from byte_work(partial(storage.delete, stored.key), always=True)
        yield from _release(reserved)


def _release(reserved: Reservation) -> Steps[bool]:
    return write(lambda session: release_upload(session, reserved), always=True)
