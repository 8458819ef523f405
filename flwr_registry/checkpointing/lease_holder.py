"""Which process this is, and whether that of a lease still lives."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from pathlib import Path

from flwr_registry.records import LeaseHolder

__all__ = ["has_ended", "is_this_process", "this_process"]

_PROC = Path("/proc")
_STATE, _START = 0, 19
_DEAD = {"Z", "X"}


def this_process() -> LeaseHolder:
    """Describe the process that asks; what the system does not tell stays empty."""
    boot_id = namespace = user = ""
    with suppress(OSError):
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink(_PROC / "self/ns/pid")  # noqa: PTH115
    with suppress(Exception):
        # It raises one error or another where nobody knows the user's name.
        user = getpass.getuser()
    found = _stat_of(os.getpid())
    return LeaseHolder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=boot_id,
        pid_namespace=namespace,
        process_start=found[_START] if found else "",
        user=user,
    )


def has_ended(holder: LeaseHolder, here: LeaseHolder) -> bool:
    """Tell whether a process is dead for certain; False also when that is unknown.

    A process can be looked for only on the machine, and among the processes, that it
    belongs to. Its number may be another's by now, whose start differs.
    """
    where = (here.boot_id, here.pid_namespace)
    if "" in where or where != (holder.boot_id, holder.pid_namespace):
        return False
    if not holder.process_start:
        return False
    found = _stat_of(holder.pid)
    return (
        found is None or found[_START] != holder.process_start or found[_STATE] in _DEAD
    )


def is_this_process(holder: LeaseHolder, here: LeaseHolder) -> bool:
    """Tell whether a holder is the process that asks."""
    return _facts(holder) == _facts(here)


def _facts(holder: LeaseHolder) -> tuple[str | int, ...]:
    where = (holder.host, holder.boot_id, holder.pid_namespace)
    return (*where, holder.pid, holder.process_start)


def _stat_of(pid: int) -> list[str] | None:
    """Return what Linux tells of a process, from its state on; None without one."""
    try:
        text = (_PROC / f"{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program may hold spaces and brackets.
    return text.rpartition(")")[2].split()
