"""Which files make a checkpoint, by their keys alone."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr_registry.checkpointing.run_folders import ROOT, folder_of, is_run_folder
from flwr_registry.errors import CheckpointError, ObjectNotFoundError
from flwr_registry.keyed_seals import check_seal, make_seal
from flwr_registry.records import StoredObject
from flwr_registry.storage import BytesContent, StorageBackend, digest_of
from flwr_registry.weights import load_verified

__all__ = ["STATE", "WEIGHTS", "CheckpointFiles", "Listing", "is_checkpoint_key"]

_COMMITTED = "COMMITTED"
_INTERIM = "INTERIM"
_PINNED = "PINNED"
_MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
STATE = "state.safetensors"
_OWN = {_COMMITTED, _INTERIM, _PINNED, _MANIFEST, WEIGHTS, STATE}
_ROUND = re.compile(r"round_([0-9]{6}|[1-9][0-9]{6,})/(.*)")
_PURPOSE = "checkpoint"
_MAX_MARKER_BYTES = 4096
_MAX_MANIFEST_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Listing:
    """The rounds of a run that have files, and what those make them.

    Attributes
    ----------
    committed : tuple of int
        Those with a checkpoint, oldest first.
    interim, pinned, unfinished : frozenset of int
        Those that stand until the next checkpoint; that were pinned; that a crash left
        without a marker.
    """

    committed: tuple[int, ...]
    interim: frozenset[int]
    pinned: frozenset[int]
    unfinished: frozenset[int]


def is_checkpoint_key(key: str) -> bool:
    """Tell the files of checkpoints from what others put beside them."""
    root, _, below = key.partition("/")
    run, _, name = below.partition("/")
    parts = _ROUND.fullmatch(name)
    return (
        root == ROOT and is_run_folder(run) and parts is not None and parts[2] in _OWN
    )


class CheckpointFiles:
    """The files of one run's checkpoints.

    A marker without content says that a checkpoint is interim, or pinned. The marker of
    a committed one holds size and digest of its manifest.

    Raises
    ------
    InvalidNameError
        When `run` is no name of a folder.
    """

    def __init__(self, storage: StorageBackend, run: str) -> None:
        self._storage = storage
        self._folder = folder_of(run)

    def folder(self, server_round: int) -> str:
        """Return the key prefix of a round's checkpoint."""
        return f"{self._folder}/round_{server_round:06d}"

    def list(self) -> Listing:
        """Look which rounds have files."""
        found: dict[str, set[int]] = {}
        rounds = set()
        for key in self._storage.list(self._folder):
            parts = _ROUND.fullmatch(key.removeprefix(f"{self._folder}/"))
            if parts is not None and parts[2] in _OWN:
                rounds.add(int(parts[1]))
                found.setdefault(parts[2], set()).add(int(parts[1]))
        committed = found.get(_COMMITTED, set())
        return Listing(
            tuple(sorted(committed)),
            frozenset(found.get(_INTERIM, ())),
            frozenset(found.get(_PINNED, ())),
            frozenset(rounds - committed),
        )

    def write_manifest(
        self, server_round: int, manifest: bytes, *, interim: bool
    ) -> None:
        """Write the manifest, and whether the checkpoint is interim."""
        folder = self.folder(server_round)
        if interim:
            self._mark(f"{folder}/{_INTERIM}")
        else:
            self._storage.delete(f"{folder}/{_INTERIM}")
        self._storage.save(f"{folder}/{_MANIFEST}", BytesContent(manifest))

    def commit(self, server_round: int, manifest: bytes) -> None:
        """Write the marker that makes the checkpoint with this manifest exist."""
        content = BytesContent(manifest)
        self._save_marker(server_round, content.size_bytes, digest_of(content))

    def seal(self, server_round: int, *, replace: bool = False) -> bool:
        """Seal a checkpoint that has no seal; tell whether it has a new one.

        One that another process removes meanwhile gets none, and stays removed.

        Parameters
        ----------
        replace : bool
            Also one whose seal is of another key.

        Raises
        ------
        CheckpointError, IntegrityError
            When marker or manifest is damaged or the manifest gone: it gets no seal.
        SealError
            For a seal that is wrong, and shall not be replaced.
        """
        try:
            marker = self._read_marker(server_round)
            if not replace and "seal" in marker:
                self._check_seal(server_round, marker)
                return False
            self._load_manifest(server_round, marker)
        except ObjectNotFoundError as error:
            if server_round not in self.list().committed:
                return False
            folder = self.folder(server_round)
            raise CheckpointError(f"{folder} has lost its manifest: {error}") from error
        self._save_marker(server_round, marker["size_bytes"], marker["sha256"])
        try:
            self._load_manifest(server_round, marker)
        except ObjectNotFoundError:
            self.withdraw(server_round)
            return False
        return True

    def withdraw(self, server_round: int) -> None:
        """Let the checkpoint of a round not exist, before its files change."""
        self._storage.delete(f"{self.folder(server_round)}/{_COMMITTED}")

    def pin(self, server_round: int) -> None:
        """Mark a checkpoint as one that no policy removes."""
        self._mark(f"{self.folder(server_round)}/{_PINNED}")

    def unpin(self, server_round: int) -> None:
        """Take the mark away."""
        self._storage.delete(f"{self.folder(server_round)}/{_PINNED}")

    def read_manifest(self, server_round: int) -> bytearray:
        """Read the manifest that the marker names, verified.

        Raises
        ------
        ObjectNotFoundError
            When the round has no checkpoint.
        CheckpointError, IntegrityError
            When the marker or the manifest is damaged.
        SealError
            When a key of seals is set and this is not sealed with it.
        """
        marker = self._read_marker(server_round)
        self._check_seal(server_round, marker)
        return self._load_manifest(server_round, marker)

    def _read_marker(self, server_round: int) -> dict[str, Any]:
        folder = self.folder(server_round)
        key = f"{folder}/{_COMMITTED}"
        try:
            marker = json.loads(self._storage.load(key, max_bytes=_MAX_MARKER_BYTES))
        except ValueError:
            marker = None
        match marker:
            case {"size_bytes": int(size), "sha256": str()} if (
                0 <= size <= _MAX_MANIFEST_BYTES
            ):
                return dict(marker)
        raise CheckpointError(f"the marker of {folder} is damaged")

    def _save_marker(self, server_round: int, size_bytes: int, sha256: str) -> None:
        marker: dict[str, Any] = {"size_bytes": size_bytes, "sha256": sha256}
        seal = make_seal(_PURPOSE, self._sealed(server_round, marker))
        if seal is not None:
            marker["seal"] = seal
        self._storage.save(
            f"{self.folder(server_round)}/{_COMMITTED}",
            BytesContent(json.dumps(marker).encode()),
        )

    def _check_seal(self, server_round: int, marker: Mapping[str, Any]) -> None:
        check_seal(
            _PURPOSE,
            self._sealed(server_round, marker),
            marker.get("seal"),
            subject=f"the checkpoint {self.folder(server_round)}",
            advice=(
                "'flwr-registry checkpoints seal' seals checkpoints that you trust "
                "(--replace: also those of another key)"
            ),
        )

    def _sealed(self, server_round: int, marker: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a seal is made over: the manifest, and where it belongs."""
        return {
            "folder": self.folder(server_round),
            "size_bytes": marker["size_bytes"],
            "sha256": marker["sha256"],
        }

    def _load_manifest(self, server_round: int, marker: Mapping[str, Any]) -> bytearray:
        key = f"{self.folder(server_round)}/{_MANIFEST}"
        stored = StoredObject(key, marker["size_bytes"], marker["sha256"])
        return load_verified(self._storage, stored)

    def remove(self, rounds: Collection[int]) -> None:
        """Remove checkpoints, each marker first: half of one must not look whole."""
        for server_round in rounds:
            self.withdraw(server_round)
            for key in self._keys(server_round):
                self._storage.delete(key)
            # Sealing beside it may have written the marker again.
            self.withdraw(server_round)

    def _keys(self, server_round: int) -> Iterable[str]:
        folder = self.folder(server_round)
        # What others put there stays theirs.
        own = {f"{folder}/{name}" for name in _OWN}
        return [key for key in self._storage.list(folder) if key in own]

    def _mark(self, key: str) -> None:
        self._storage.save(key, BytesContent(b""))
