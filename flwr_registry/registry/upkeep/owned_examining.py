"""Looking after a storage starts with whose it is."""

from __future__ import annotations

from flwr_registry.errors import StorageOwnerError
from flwr_registry.records import Finding, Severity
from flwr_registry.registry.ownership.claiming import refuse_other_root
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.steps import Steps
from flwr_registry.registry.upkeep.examining import examine

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
    return (yield from examine(root.storage, deep=deep))
