"""Looking after a storage starts with whose it is."""

from __future__ import annotations

from functools import partial

from flwr_registry.errors import StorageOwnerError
from flwr_registry.records import Finding, Severity
from flwr_registry.registry.ownership.claiming import refuse_other_root
from flwr_registry.registry.ownership.identities import find_identity
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.ownership.root_marks import read_root_mark
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.examining import examine
from flwr_registry.storage import StorageBackend

__all__ = ["examine_own_root"]


def examine_own_root(root: OwnRoot, *, deep: bool) -> Steps[list[Finding]]:
    """Examine a registry; of a root that is another's, nothing but that.

    What lies there is unknown to this database as it should be, and no remedy for what
    is lost may be tried on it.
    """
    subject = f"storage {root.storage.url}"
    try:
        yield from refuse_other_root(root.storage, root.here)
    except StorageOwnerError as error:
        problem = "this database may write nothing there"
        return [Finding(Severity.ERROR, subject, problem, str(error))]
    findings = yield from examine(root.storage, deep=deep)
    return [*findings, *(yield from _other_registry(root.storage))]


def _other_registry(storage: StorageBackend) -> Steps[list[Finding]]:
    """Tell of a database that calls itself one of another registry than its root."""
    mark = yield from byte_work(partial(read_root_mark, storage))
    own = yield from read(find_identity)
    if mark is None or own.registry_id in ("", mark.id):
        return []
    problem = (
        f"the database says that it belongs to the registry {own.registry_id}, the "
        f"storage {storage.url} to {mark.id}"
    )
    remedy = "nothing, if the storage is the right one: the next version mends it"
    return [Finding(Severity.WARNING, "registry identity", problem, remedy)]
