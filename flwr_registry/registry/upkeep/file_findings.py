"""Files of a storage that nothing needs, that nobody knows, or that are no keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import FoundManifest, is_checkpoint_key, is_lease_key
from flwr_registry.errors import StorageError, counted
from flwr_registry.records import Finding, Severity
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.checkpoint_needs import (
    NeededKeys,
    needed_keys,
    read_needs,
)
from flwr_registry.registry.upkeep.stored_files import ROOT, Owner
from flwr_registry.storage import ListedFile, StorageBackend, is_key, listed_files

__all__ = ["find_in_files"]

_SHOWN = 5
_BESIDE_MODELS = {"checkpoints": is_checkpoint_key, "leases": is_lease_key}


def find_in_files(
    storage: StorageBackend,
    files: Sequence[tuple[ListedFile, Owner]],
    manifests: Sequence[FoundManifest],
) -> Steps[list[Finding]]:
    """Sort the files that belong to no version by what may be done about them."""
    beside = yield from byte_work(lambda: list(_strange_beside(storage)))
    needs = read_needs(manifests)
    needed = yield from read(lambda session: needed_keys(session, needs))
    has_versions = yield from read(_has_versions)
    known = [file.key for file, owner in files if owner is not Owner.UNKNOWN]
    unknown = [file for file, owner in files if owner is Owner.UNKNOWN]
    foreign = [
        each for each in unknown if each.is_foreign and not _leads_to(each, known)
    ]
    links = {each.key for each in foreign if each.linked}
    foreign = [each for each in foreign if not _is_behind(each, links)]
    left = [
        file
        for file, owner in files
        if owner is Owner.REMOVED_VERSION and not needed.reasons(file.key)
    ]
    return [
        *_left_over(left),
        *_unknown(
            [each for each in unknown if not each.is_foreign],
            _remedy(needed, has_versions=has_versions),
        ),
        *_foreign([*foreign, *beside]),
    ]


def _strange_beside(storage: StorageBackend) -> Iterator[ListedFile]:
    """Give what others put beside checkpoints and leases, and what is no key."""
    try:
        files = listed_files(storage, "")
    except StorageError:
        # Beside our own folders may lie some that are not for us to read.
        files = [
            each for root in _BESIDE_MODELS for each in listed_files(storage, root)
        ]
    for each in files:
        root = each.key.partition("/")[0]
        is_own = _BESIDE_MODELS.get(root, is_key)
        if root != ROOT and (each.is_foreign or not is_own(each.key)):
            yield each


def _has_versions(session: Session) -> bool:
    return session.scalar(select(VersionRow.id).limit(1)) is not None


def _leads_to(link: ListedFile, known: Iterable[str]) -> bool:
    """Tell whether versions lie behind a link, which is on purpose then."""
    return link.linked and any(key.startswith(f"{link.key}/") for key in known)


def _is_behind(file: ListedFile, links: Collection[str]) -> bool:
    """Tell whether a file lies behind a link, which is told of then."""
    parts = file.key.split("/")
    return any("/".join(parts[:n]) in links for n in range(1, len(parts)))


def _remedy(needed: NeededKeys, *, has_versions: bool) -> str:
    if needed.unknown:
        return (
            "flwr-registry doctor --rebuild, which makes those known again that "
            "checkpoints name"
        )
    if not has_versions:
        return (
            "this database has no version: name the one that has, with --registry, or "
            "restore it from a backup"
        )
    return (
        "if a database was lost, restore it from a backup, or register them anew "
        "(flwr-registry register FILE --model NAME); only if nobody needs them: "
        "flwr-registry delete-unknown --older-than 7d, which shows them and asks"
    )


def _left_over(files: Sequence[ListedFile]) -> Iterator[Finding]:
    if files:
        yield Finding(
            Severity.WARNING,
            _count("left-over", files),
            f"left of versions whose bytes were given up: {_names(files)}",
            "flwr-registry gc",
        )


def _unknown(files: Sequence[ListedFile], remedy: str) -> Iterator[Finding]:
    if files:
        yield Finding(
            Severity.WARNING,
            _count("unknown", files),
            "no version and no registration of this database wrote "
            f"{'it' if len(files) == 1 else 'them'}: {_names(files)}",
            remedy,
        )


def _foreign(files: Sequence[ListedFile]) -> Iterator[Finding]:
    if files:
        yield Finding(
            Severity.WARNING,
            _count("foreign", files),
            f"links, or names that no registry gives: {_names(files)}",
            "move or remove them by hand: no command reads or removes them",
        )


def _count(kind: str, files: Sequence[ListedFile]) -> str:
    size = sum(each.size_bytes for each in files)
    return f"{counted(len(files), f'{kind} file')} ({counted(size, 'byte')})"


def _names(files: Sequence[ListedFile]) -> str:
    # What others name may hold anything, control characters too.
    shown = [repr(each.key) if each.is_foreign else each.key for each in files[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(files) > _SHOWN else "")
