"""Going over the audit log in batches, however long it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from flwr_registry.errors import SealError
from flwr_registry.file_modes import create_file
from flwr_registry.registry.audit_log import (
    AuditCheck,
    AuditEntry,
    entry_line,
    read_entries,
)
from flwr_registry.registry.rows.raw_rows import FIRST
from flwr_registry.registry.signed_heads import (
    SignedHead,
    missing_heads,
    read_heads,
    sign_head,
)
from flwr_registry.registry.steps import Steps, byte_work, read

__all__ = ["export_audit", "sign_audit_head", "verify_audit"]

_BATCH = 2000


def verify_audit(
    expect_hash: str | None, heads: Path | None = None, public_key: Path | None = None
) -> Steps[AuditCheck]:
    """Check the whole chain of entries.

    Parameters
    ----------
    expect_hash : str, optional
        The hash of an entry, noted earlier, which has to be there still.
    heads : Path, optional
        Signed heads, which have to be there still.
    public_key : Path, optional
        Of the key that signed them.

    Raises
    ------
    SealError
        For heads whose signature is wrong, or a key that cannot be used.
    """
    if (heads is None) != (public_key is None):
        raise ValueError("signed heads are checked with a public key: give both")
    signed: list[SignedHead] = []
    if heads is not None and public_key is not None:
        signed = yield from byte_work(partial(read_heads, heads, public_key))
    check, others = AuditCheck(), []
    found = expect_hash in (None, check.newest_hash)

    def take(entries: Sequence[AuditEntry]) -> None:
        nonlocal check, found
        others.extend(_other_heads(signed, check.entries, entries))
        check = check.extended(entries)
        found = found or any(entry.entry_hash == expect_hash for entry in entries)

    yield from _each_batch(take)
    problems = [*check.problems, *others, *missing_heads(signed, check.entries)]
    if not found:
        problems.append(
            f"no entry has the hash {expect_hash}: entries were cut off, or it is "
            "another log"
        )
    return AuditCheck(check.entries, check.newest_hash, tuple(problems))


def sign_audit_head(key: Path, heads: Path | None) -> Steps[SignedHead]:
    """Sign how long the log is and its newest hash, once it is found sound.

    Parameters
    ----------
    heads : Path, optional
        File that it is added to.

    Raises
    ------
    SealError
        For a log that is not sound, a key that cannot be used, or a file that cannot be
        written.
    """
    check = yield from verify_audit(None)
    if check.problems:
        raise SealError(
            f"the audit log is not sound, so it is not signed: {check.problems[0]}"
        )
    head = yield from byte_work(
        partial(sign_head, check.entries, check.newest_hash, key)
    )
    if heads is not None:
        yield from byte_work(partial(_add_head, head, heads))
    return head


def _add_head(head: SignedHead, file: Path) -> None:
    try:
        handle = create_file(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with open(handle, "a", encoding="utf-8") as opened:  # noqa: PTH123
            opened.write(f"{head.line()}\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise SealError(f"{file} cannot be written: {error.strerror}") from error


def _other_heads(
    heads: Sequence[SignedHead], before: int, entries: Sequence[AuditEntry]
) -> list[str]:
    """Say which heads are not what stands at their place in the log."""
    here = {head: head.entries - before - 1 for head in heads}
    return [
        f"entry {entries[place].id} is not the one that was signed at {head.signed_at}"
        for head, place in here.items()
        if 0 <= place < len(entries) and entries[place].entry_hash != head.entry_hash
    ]


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
