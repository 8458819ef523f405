"""Removing bytes where nobody else can need them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flwr_registry.errors import InvalidStateError
from flwr_registry.records import (
    Collection,
    ExplainedVersion,
    Fate,
    UnknownDeletion,
)
from flwr_registry.registry.ownership.claiming import (
    claim_root,
    refuse_other_root,
    tell_other_writers,
)
from flwr_registry.registry.ownership.identities import find_identity
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.ownership.root_marks import former_writers
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.collecting import GarbageRequest, collect_garbage
from flwr_registry.registry.upkeep.explaining import explain_garbage
from flwr_registry.registry.upkeep.unknown_files import UnknownRequest, delete_unknown
from flwr_registry.retention import RetentionPolicy

__all__ = ["collect_own_garbage", "delete_own_unknown", "explain_own_garbage"]


def collect_own_garbage(root: OwnRoot, request: GarbageRequest) -> Steps[Collection]:
    """Collect garbage; nothing while another database writes to the same root.

    Raises
    ------
    StorageOwnerError
        When the root is another registry's.
    """
    withheld = yield from _withheld(root, dry_run=request.dry_run)
    if withheld:
        return Collection(request.dry_run, (), (), 0, 0, withheld=withheld)
    return (yield from collect_garbage(root.storage, request))


def explain_own_garbage(
    root: OwnRoot, policy: RetentionPolicy | None, model: str | None
) -> Steps[list[ExplainedVersion]]:
    """Tell why versions keep their bytes; all do while garbage is not collected.

    Raises
    ------
    StorageOwnerError
        When the root is another registry's.
    """
    withheld = yield from _withheld(root, dry_run=True)
    explained = yield from explain_garbage(root.storage, policy, model)
    if not withheld:
        return explained
    reason = f"nothing is removed: {withheld}"
    return [
        replace(each, fate=Fate.STAYS, reasons=(reason,))
        if each.fate is Fate.GOES
        else each
        for each in explained
    ]


def delete_own_unknown(
    root: OwnRoot, request: UnknownRequest
) -> Steps[UnknownDeletion]:
    """Delete unknown files that no other database can know.

    Raises
    ------
    StorageOwnerError
        When the root is another registry's.
    InvalidStateError
        While another database writes to the same root, or one that did is still there,
        and as `delete_unknown` does.
    """
    withheld = yield from _withheld(root, dry_run=request.dry_run)
    if withheld:
        raise InvalidStateError(f"nothing is deleted: {withheld}")
    find = partial(former_writers, root.storage, root.here)
    former = yield from byte_work(lambda: list(find()))
    if former:
        key, mark = former[0]
        raise InvalidStateError(
            f"nothing is deleted: the storage {root.storage.url} was also that of "
            f"{mark.database} (on {mark.host}) before it was adopted, and that one may "
            "need any of the files. If it is given up, remove that database, or, where "
            f"nobody can, {key} from the storage"
        )
    return (yield from delete_unknown(root.storage, request))


def _withheld(root: OwnRoot, *, dry_run: bool) -> Steps[str]:
    """Look anew whose the root is: another may have taken it since it was opened."""
    own = yield from read(find_identity)
    # An empty database has nothing to remove, and joins no registry for that.
    look = claim_root if own.has_past and not dry_run else refuse_other_root
    yield from look(root.storage, root.here)
    return (yield from tell_other_writers(root.storage, root.here))
