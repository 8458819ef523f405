"""Going over the audit log in batches, however long it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TextIO

from flwr_registry.registry.audit_log import (
    AuditCheck,
    AuditEntry,
    entry_line,
    read_entries,
)
from flwr_registry.registry.rows.raw_rows import FIRST
from flwr_registry.registry.steps import Steps, byte_work, read

__all__ = ["export_audit", "verify_audit"]

_BATCH = 2000


def verify_audit(expect_hash: str | None) -> Steps[AuditCheck]:
    """Check the whole chain of entries.

    Parameters
    ----------
    expect_hash : str, optional
        The hash of an entry, noted earlier, which has to be there still.
    """
    check = AuditCheck()
    found = expect_hash in (None, check.newest_hash)

    def take(entries: Sequence[AuditEntry]) -> None:
        nonlocal check, found
        check = check.extended(entries)
        found = found or any(entry.entry_hash == expect_hash for entry in entries)

    yield from _each_batch(take)
    if found:
        return check
    cut = (
        f"no entry has the hash {expect_hash}: entries were cut off, or it is another "
        "log"
    )
    return AuditCheck(check.entries, check.newest_hash, (*check.problems, cut))


def export_audit(file: TextIO) -> Steps[int]:
    """Write all entries as lines of JSON, oldest first; return how many."""
    written = 0

    def take(entries: Sequence[AuditEntry]) -> None:
        nonlocal written
        file.writelines(f"{entry_line(entry)}\n" for entry in entries)
        written += len(entries)

    yield from _each_batch(take)
    return written


def _each_batch(take: Callable[[Sequence[AuditEntry]], None]) -> Steps[None]:
    last = FIRST
    while True:
        entries = yield from read(partial(read_entries, after_id=last, limit=_BATCH))
        if not entries:
            return
        yield from byte_work(partial(take, entries))
        last = entries[-1].id
