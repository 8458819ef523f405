"""The leases of one run as objects of a storage."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from flwr_registry.errors import ObjectNotFoundError
from flwr_registry.records import Lease, LeaseHolder, check_name
from flwr_registry.storage import BytesContent, StorageBackend, create_object

__all__ = ["StorageLeases", "is_lease_key"]

_ROOT = "leases"
_HELD = "held"
_RENEWED = "renewed"
_RELEASED = "released"
_KEY = re.compile(rf"([0-9]{{6,}})/({_HELD}|{_RENEWED}|{_RELEASED})")
_MAX_BYTES = 64 * 1024
_LOOKS = 10
_UNKNOWN = LeaseHolder("an unknown host", 0)


def is_lease_key(key: str) -> bool:
    """Tell the objects of leases from what others put beside them."""
    root, _, below = key.partition("/")
    return root == _ROOT and _KEY.fullmatch(below.partition("/")[2]) is not None


class StorageLeases:
    """The starts of one run, each a folder ``leases/<run>/000005/``.

    In it ``held`` tells who took the start number, ``renewed`` counts the holder's
    renewals, and ``released`` says that it is free.

    Parameters
    ----------
    storage : StorageBackend
        One that can create takes a number for one of several starts. With others the
        later one has it, and the former finds out before it commits.
    run : str
        Name of the run.

    Raises
    ------
    InvalidNameError
        When `run` is no name.
    """

    def __init__(self, storage: StorageBackend, run: str) -> None:
        self._storage = storage
        self._run = check_name(run, "run")
        self._folder = f"{_ROOT}/{run}"

    def newest(self) -> Lease | None:
        """Return the lease with the highest number; None before the first."""
        looks = _LOOKS
        while True:
            starts = self._starts()
            taken = [number for number, names in starts.items() if _HELD in names]
            if not taken:
                return None
            number, looks = max(taken), looks - 1
            try:
                return self._read(number, starts[number])
            except ObjectNotFoundError:
                # A newer start removed it after it was listed.
                if not looks:
                    raise

    def claim(self, lease: Lease) -> bool:
        """Take a start number; False when it, or a higher one, is another start's."""
        if any(number > lease.start_number for number in self._starts()):
            return False
        content = BytesContent(json.dumps(lease.to_json()).encode())
        return create_object(self._storage, self._key(lease, _HELD), content)

    def renew(self, lease: Lease) -> None:
        """Write down how often the holder said that it lives."""
        content = BytesContent(b"%d" % lease.renewals)
        self._storage.save(self._key(lease, _RENEWED), content)
        self._remove_before(lease)

    def release(self, lease: Lease) -> None:
        """Let the next start take the run without waiting."""
        self._storage.save(self._key(lease, _RELEASED), BytesContent(b""))
        self._remove_before(lease)

    def withdraw(self, lease: Lease) -> None:
        """Undo the claim of a start that wrote nothing, and never will."""
        newest = self.newest()
        if newest is not None and newest.token == lease.token:
            for name in (_HELD, _RENEWED, _RELEASED):
                self._storage.delete(self._key(lease, name))

    def _starts(self) -> dict[int, set[str]]:
        starts: dict[int, set[str]] = {}
        for key in self._storage.list(self._folder):
            found = _KEY.fullmatch(key.removeprefix(f"{self._folder}/"))
            if found is not None:
                starts.setdefault(int(found[1]), set()).add(found[2])
        return starts

    def _read(self, number: int, names: set[str]) -> Lease:
        folder = f"{self._folder}/{number:06d}"
        changed: dict[str, Any] = {"released": _RELEASED in names, "renewals": 0}
        if _RENEWED in names:
            changed["renewals"] = self._count(f"{folder}/{_RENEWED}")
        data = self._storage.load(f"{folder}/{_HELD}", max_bytes=_MAX_BYTES)
        try:
            return Lease.from_json(self._run, json.loads(data), **changed)
        except (LookupError, TypeError, ValueError):
            # A crash on a file system that cannot create it whole.
            return Lease(
                run=self._run,
                start_number=number,
                token="",
                holder=_UNKNOWN,
                since=datetime.fromtimestamp(0, UTC),
                **changed,
            )

    def _count(self, key: str) -> int:
        try:
            return int(self._storage.load(key, max_bytes=_MAX_BYTES))
        except (ObjectNotFoundError, ValueError):
            return 0

    def _remove_before(self, lease: Lease) -> None:
        """Remove what earlier starts left; not at once, since a start may withdraw."""
        for number, names in self._starts().items():
            if number < lease.start_number:
                for name in names:
                    self._storage.delete(f"{self._folder}/{number:06d}/{name}")

    def _key(self, lease: Lease, name: str) -> str:
        return f"{self._folder}/{lease.start_number:06d}/{name}"
