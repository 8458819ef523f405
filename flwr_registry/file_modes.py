"""Who may read the files and folders that this package makes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from flwr_registry.errors import StorageError

__all__ = ["UMASK_VARIABLE", "check_umask", "create_file", "let_read", "make_folder"]

UMASK_VARIABLE = "FLWR_REGISTRY_UMASK"
"""Octal digits as of ``umask``, such as 007 for a group; or ``inherit``."""

_INHERIT = "inherit"
_OWNER_ALONE = 0o077
_FILE, _FOLDER = 0o666, 0o777


def check_umask() -> None:
    """See that ``FLWR_REGISTRY_UMASK`` can be used, if it is set.

    Raises
    ------
    StorageError
        Saying what it may be.
    """
    _umask()


def create_file(path: Path, flags: int) -> int:
    """Open a file that may not be there yet; return its descriptor.

    Unless ``FLWR_REGISTRY_UMASK`` says otherwise, it is made for its owner alone,
    whatever the umask of the process; that is never touched, since it is not of one
    thread.
    """
    handle = os.open(path, flags, _FILE & ~_umask())
    try:
        if _is_chosen() and os.fstat(handle).st_size == 0:
            let_read(path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def make_folder(path: Path) -> None:
    """Make one folder; one that is there stays as it is."""
    try:
        path.mkdir(_FOLDER & ~_umask())
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if _is_chosen():
        let_read(path)


def let_read(path: Path) -> None:
    """Give a file or folder that was just made the access that is chosen."""
    if os.environ.get(UMASK_VARIABLE) == _INHERIT or os.name == "nt":
        return
    found = path.stat().st_mode
    wanted = (_FOLDER if stat.S_ISDIR(found) else _FILE) & ~_umask()
    # The bit by which what is made in a folder belongs to the folder's group stays.
    path.chmod(wanted | (found & stat.S_ISGID))


def _is_chosen() -> bool:
    return bool(os.environ.get(UMASK_VARIABLE))


def _umask() -> int:
    given = os.environ.get(UMASK_VARIABLE, "")
    if not given:
        return _OWNER_ALONE
    if given == _INHERIT:
        return 0
    try:
        umask = int(given, 8)
    except ValueError:
        umask = -1
    if not 0 <= umask <= 0o077:
        raise StorageError(
            f"{UMASK_VARIABLE} is {given!r}: give octal digits that leave the "
            "owner all access, such as 077 (the owner alone) or 007 (a group too), or "
            "inherit for the umask of the process"
        )
    return umask
