"""Taking a storage root for a database, and refusing one that is another registry's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from flwr_registry.errors import StorageError, StorageOwnerError
from flwr_registry.registry.ownership.identities import (
    Identity,
    find_identity,
    make_identity,
    set_registry,
)
from flwr_registry.registry.ownership.root_marks import (
    ROOT_KEY,
    Mark,
    create_root_mark,
    other_writers,
    own_marks,
    read_root_mark,
    save_writer_mark,
)
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.shown_text import OneLineLogger
from flwr_registry.storage import StorageBackend

__all__ = ["claim_root", "refuse_other_root", "tell_other_writers"]

_LOOKS = 3

_logger = OneLineLogger("flwr")


def claim_root(storage: StorageBackend, here: Mark) -> Steps[None]:
    """Make sure that a root is this database's, before something is written there.

    A root that nobody has becomes this database's; a database without versions becomes
    one of the registry whose the root is, and stays one when it has a root of its own
    as well.

    Parameters
    ----------
    here : Mark
        This database, see `mark_here`.

    Raises
    ------
    StorageOwnerError
        When the root is another registry's, and the database has versions of its own.
    StorageError, DatabaseError
        When one of them does not answer.
    """
    for _ in range(_LOOKS):
        mark = yield from byte_work(partial(read_root_mark, storage))
        own = yield from read(find_identity)
        if mark is not None:
            if (yield from _is_part_of(own, storage, mark)):
                yield from byte_work(partial(_mark_place, own, storage, here))
                yield from _keep_registry(own, mark.id)
            else:
                yield from _join(storage, here, mark)
            return
        mark = replace(here, id=(yield from _registry_of_new(storage, own)))
        if (yield from byte_work(partial(create_root_mark, storage, mark))):
            return
    raise StorageError(
        f"{ROOT_KEY} in {storage.url} appears and vanishes: see that nothing else "
        "writes there",
        key=ROOT_KEY,
    )


def refuse_other_root(storage: StorageBackend, here: Mark) -> Steps[None]:
    """Refuse what `claim_root` would refuse; nothing is written.

    Raises
    ------
    StorageOwnerError, StorageError, DatabaseError
        As `claim_root` does.
    """
    mark = yield from byte_work(partial(read_root_mark, storage))
    own = yield from read(find_identity)
    if mark is not None and not (yield from _is_part_of(own, storage, mark)):
        _refuse_past(own, storage, here, mark)


def tell_other_writers(storage: StorageBackend, here: Mark) -> Steps[str]:
    """Say which other databases may need bytes of the root; empty when there is none.

    Of two that belong to one registry neither knows what the other needs, nor do a
    database and its copy.
    """
    own = yield from read(find_identity)
    find = partial(other_writers, storage, own.database_id, here)
    others = yield from byte_work(lambda: list(find()))
    if not others:
        return ""
    places = " and ".join(f"{each.database} (on {each.host})" for each in others)
    reason = (
        f"the storage {storage.url} is also that of {places}, which may need any of "
        "its bytes: give one of the databases a storage of its own, or, if only this "
        f"one is still in use, run '{_adopting(storage, here)}'"
    )
    if all(each.id != own.database_id for each in others):
        return reason
    return (
        f"{reason}. Two of them have one identity: one is a copy of the other, or they "
        "are one database, which should then always be opened by the same URL, on a "
        "machine (or in a container) that keeps its host name"
    )


def _is_part_of(own: Identity, storage: StorageBackend, mark: Mark) -> Steps[bool]:
    """Tell whether a database belongs to the registry whose a root is."""
    if own.registry_id == mark.id:
        return True
    return (yield from byte_work(partial(_has_mark, own, storage)))


def _has_mark(own: Identity, storage: StorageBackend) -> bool:
    """Tell whether a database, or what it is a copy of, left a mark in a root."""
    return any(True for _ in own_marks(storage, own.database_id))


def _registry_of_new(storage: StorageBackend, own: Identity) -> Steps[str]:
    """Return the registry that a root without a mark is to belong to.

    Under that of databases that the own one shares another root with, either could
    delete here what only the other knows; unless it is that root, and lost its mark.
    """
    if not own.registry_id:
        own = yield from write(make_identity)
    if own.registry_id == own.database_id:
        return own.registry_id
    if (yield from byte_work(partial(_has_mark, own, storage))):
        return own.registry_id
    yield from _keep_registry(own, own.database_id)
    return own.database_id


def _keep_registry(own: Identity, registry_id: str) -> Steps[None]:
    """Write down in a database whose root it writes to from now on."""
    if own.registry_id != registry_id:
        yield from write(partial(set_registry, registry_id=registry_id))


def _mark_place(own: Identity, storage: StorageBackend, here: Mark) -> None:
    """Leave a mark where a database is a copy, or was moved, and left none from there.

    The others, its original among them, would not know that it is there.
    """
    marks = own_marks(storage, own.database_id)
    if not any(mark.is_at(here) for mark in marks):
        save_writer_mark(storage, replace(here, id=own.database_id))


def _join(storage: StorageBackend, here: Mark, mark: Mark) -> Steps[None]:
    """Make a database without versions one of the registry that a root belongs to."""
    refuse = partial(_refuse_past, storage=storage, here=here, mark=mark)

    def begin(session: Session) -> Identity:
        refuse(find_identity(session))
        return make_identity(session)

    def end(session: Session) -> None:
        set_registry(session, mark.id)

    own = yield from write(begin)
    # Before anything is written there: who collects garbage must see it.
    writer = replace(here, id=own.database_id)
    yield from byte_work(partial(save_writer_mark, storage, writer))
    yield from write(end)
    _tell_joined(storage, here, mark)


def _tell_joined(storage: StorageBackend, here: Mark, mark: Mark) -> None:
    if mark.is_gone(here):
        _logger.warning(
            "registry: the database %s has no versions, and takes over the storage %s "
            "of one that is gone. 'flwr-registry doctor --rebuild' brings back what "
            "its checkpoints tell of",
            here.database,
            storage.url,
        )
        return
    _logger.warning(
        "registry: the database %s has no versions, and shares the storage %s with %s "
        "from now on, so that gc removes nothing there. Give it a storage of its own, "
        "unless the other is lost: then 'flwr-registry doctor --adopt' brings back "
        "what its checkpoints tell of, and takes the storage over",
        here.database,
        storage.url,
        mark.database,
    )


def _refuse_past(
    own: Identity, storage: StorageBackend, here: Mark, mark: Mark
) -> None:
    if not own.has_past:
        return
    raise StorageOwnerError(
        f"the storage {storage.url} belongs to another registry, that of the database "
        f"{mark.database}, and {here.database} has versions of its own. Give this one "
        "a storage of its own, another folder or prefix (--storage, "
        "FLWR_REGISTRY_STORAGE or registry-storage). Or, if the other database is "
        f"given up, run '{_adopting(storage, here)}': it brings back what checkpoints "
        "tell of, and takes the storage over",
        owner=mark.id,
    )


def _adopting(storage: StorageBackend, here: Mark) -> str:
    return (
        f"flwr-registry doctor --adopt --registry {here.database} "
        f"--storage {storage.url}"
    )
