"""Checkpoints of one run: saved, found, loaded, pruned."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar, overload

from flwr_registry.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointContent,
    Manifest,
    NewerFormatError,
    described,
    read_manifest,
    write_manifest,
)
from flwr_registry.checkpointing.measured import trusted_metrics
from flwr_registry.checkpointing.run_folders import ROOT, folder_of
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    ObjectNotFoundError,
    RegistryError,
)
from flwr_registry.records import StoredObject
from flwr_registry.retention import Kept, LatestN, RetentionPolicy, removed_by
from flwr_registry.storage import BytesContent, StorageBackend
from flwr_registry.weights import (
    Weights,
    load_verified,
    load_weights,
    save_weights,
)

__all__ = ["CheckpointManager"]

Model = TypeVar("Model")
ReadWeights: TypeAlias = Callable[[StorageBackend, StoredObject], Model]

_LOGGER = logging.getLogger("flwr")
_COMMITTED = "COMMITTED"
_PINNED = "PINNED"
_KEEP = LatestN(3)
_ROUND = re.compile(r"round_(\d{6,})/")
_MAX_MARKER_BYTES = 4096
_MAX_MANIFEST_BYTES = 1024**3


class CheckpointManager:
    """The checkpoints of one run, in storage alone.

    A checkpoint is a folder ``checkpoints/<run>/round_000012/`` with a manifest, the
    arrays of the strategy's state if there are any, and a marker that is written last:
    without it the checkpoint does not exist. The marker holds the manifest's digest and
    the manifest those of all other files, so whatever is read is verified.

    Parameters
    ----------
    storage : StorageBackend
        Where the checkpoints lie.
    run : str
        Name of the run's folder, from `new_run_folder` or `latest_run_folder`.
    keep : RetentionPolicy
        Which checkpoints stay, beside the newest one and those that are pinned.

    Raises
    ------
    InvalidNameError
        When `run` is no name of a folder.
    """

    def __init__(
        self, storage: StorageBackend, run: str, *, keep: RetentionPolicy = _KEEP
    ) -> None:
        self._storage = storage
        self._folder = folder_of(run)
        self._keep = keep

    def save(self, content: CheckpointContent) -> None:
        """Write a checkpoint; one of the same round is replaced. Then prune.

        Raises
        ------
        StorageError
            The checkpoint does not exist then, and older ones are as they were.
        TypeError, ValueError
            When the state is no plain data.
        """
        fields = described(content)
        state = Weights(content.state_arrays)
        weights = self._lasting(content.weights)
        folder = self._round_folder(content.server_round)
        # Only now: what cannot be saved must not cost the checkpoint that is there.
        self._storage.delete(f"{folder}/{_COMMITTED}")
        if isinstance(weights, Weights):
            key = f"{folder}/weights.safetensors"
            weights = save_weights(self._storage, key, weights)
        arrays = None
        if state:
            arrays = save_weights(self._storage, f"{folder}/state.safetensors", state)
        data = write_manifest(fields, weights, arrays)
        manifest = self._storage.save(f"{folder}/manifest.json", BytesContent(data))
        marker = {"size_bytes": manifest.size_bytes, "sha256": manifest.sha256}
        self._storage.save(
            f"{folder}/{_COMMITTED}", BytesContent(json.dumps(marker).encode())
        )
        self._prune_after_save(content)

    def rounds(self) -> list[int]:
        """List the rounds that have a committed checkpoint, oldest first."""
        return sorted(self._committed(list(self._storage.list(self._folder))))

    @overload
    def load_latest(self) -> Checkpoint[Weights] | None: ...

    @overload
    def load_latest(
        self, read_weights: ReadWeights[Model]
    ) -> Checkpoint[Model] | None: ...

    def load_latest(
        self, read_weights: ReadWeights[Any] = load_weights
    ) -> Checkpoint[Any] | None:
        """Load the newest checkpoint that is sound; None when there is none.

        A damaged one is named in a warning, and the one before it is taken.

        Parameters
        ----------
        read_weights : callable
            Reads and verifies the weights in another form, given storage and place.

        Raises
        ------
        CheckpointError
            When a newer release of this package wrote it.
        StorageError
            When the storage does not answer: that a checkpoint cannot be reached does
            not mean that it is damaged.
        """
        for server_round in reversed(self.rounds()):
            try:
                return self.load_round(server_round, read_weights)
            except NewerFormatError:
                raise
            except (IntegrityError, CheckpointError, ObjectNotFoundError) as error:
                _LOGGER.warning(
                    "registry: the checkpoint of round %d is damaged, the one before "
                    "is taken: %s",
                    server_round,
                    error,
                )
        return None

    @overload
    def load_round(self, server_round: int) -> Checkpoint[Weights]: ...

    @overload
    def load_round(
        self, server_round: int, read_weights: ReadWeights[Model]
    ) -> Checkpoint[Model]: ...

    def load_round(
        self, server_round: int, read_weights: ReadWeights[Any] = load_weights
    ) -> Checkpoint[Any]:
        """Load the checkpoint of a round; parameters are those of `load_latest`.

        Raises
        ------
        ObjectNotFoundError
            When the round has none, or a part of it is gone.
        IntegrityError
            When a part of it is not what was written.
        CheckpointError
            When its manifest makes no sense, or a newer release wrote it.
        """
        manifest = self.manifest_of(server_round)
        weights = read_weights(self._storage, manifest.weights)
        arrays: Any = {}
        if manifest.state_arrays is not None:
            arrays = load_weights(self._storage, manifest.state_arrays)
        content = replace(manifest.content, state_arrays=arrays)
        return Checkpoint(weights, manifest.weights, content)

    def manifest_of(self, server_round: int) -> Manifest:
        """Read the verified manifest of a round's checkpoint, without any array.

        Raises
        ------
        ObjectNotFoundError, IntegrityError, CheckpointError
            As `load_round` does.
        """
        folder = self._round_folder(server_round)
        manifest = read_manifest(self._read_manifest_bytes(folder))
        if manifest.content.server_round != server_round:
            raise CheckpointError(
                f"{folder} holds round {manifest.content.server_round}, not its own"
            )
        return manifest

    def pin(self, server_round: int) -> None:
        """Keep the checkpoint of a round whatever the policy says.

        Raises
        ------
        ObjectNotFoundError
            When the round has none.
        """
        self.manifest_of(server_round)
        self._storage.save(self._pin_of(server_round), BytesContent(b"pinned"))

    def unpin(self, server_round: int) -> None:
        """Leave the checkpoint of a round to the policy again."""
        self._storage.delete(self._pin_of(server_round))

    def prune(
        self, metrics: Mapping[int, Mapping[str, float]] | None = None
    ) -> list[int]:
        """Remove what the policy gives up, and what a crash left unfinished.

        The newest checkpoint and weights of registered versions are never removed.

        Parameters
        ----------
        metrics : mapping, optional
            Of each round, for policies that keep the best.

        Returns
        -------
        list of int
            Rounds whose checkpoint was removed.
        """
        keys = list(self._storage.list(self._folder))
        rounds = sorted(self._committed(keys))
        items = [
            Kept(
                each,
                each,
                metrics=(metrics or {}).get(each, {}),
                pinned=self._pin_of(each) in keys or each == rounds[-1],
            )
            for each in rounds
        ]
        given_up = removed_by(self._keep, items, datetime.now(UTC))
        gone = [item.order for item in given_up]
        unfinished = {
            found
            for key in keys
            if (found := self._round_of(key)) is not None
            and found not in rounds
            and rounds
            and found < rounds[-1]
        }
        for server_round in [*gone, *sorted(unfinished)]:
            self._remove(server_round, keys)
        return gone

    def _lasting(self, weights: Weights | StoredObject) -> Weights | StoredObject:
        """Take weights out of a checkpoint, which would be pruned with them."""
        if isinstance(weights, StoredObject) and weights.key.startswith(f"{ROOT}/"):
            return load_weights(self._storage, weights)
        return weights

    def _read_manifest_bytes(self, folder: str) -> bytearray:
        try:
            marker = json.loads(
                self._storage.load(
                    f"{folder}/{_COMMITTED}", max_bytes=_MAX_MARKER_BYTES
                )
            )
        except ValueError:
            marker = None
        match marker:
            case {"size_bytes": int(size), "sha256": str(sha256)}:
                sound = 0 <= size <= _MAX_MANIFEST_BYTES
            case _:
                sound = False
        if not sound:
            raise CheckpointError(f"the marker of {folder} is damaged")
        manifest = StoredObject(f"{folder}/manifest.json", size, sha256)
        return load_verified(self._storage, manifest)

    def _prune_after_save(self, content: CheckpointContent) -> None:
        try:
            self.prune(trusted_metrics(content.metrics))
        except RegistryError as error:
            _LOGGER.warning("registry: old checkpoints could not be removed: %s", error)

    def _remove(self, server_round: int, keys: list[str]) -> None:
        """Remove the marker first: what is half removed must not look whole."""
        folder = self._round_folder(server_round)
        mine = [key for key in keys if key.startswith(f"{folder}/")]
        for key in sorted(mine, key=lambda key: not key.endswith(f"/{_COMMITTED}")):
            self._storage.delete(key)

    def _committed(self, keys: list[str]) -> set[int]:
        return {
            found
            for key in keys
            if key.endswith(f"/{_COMMITTED}")
            and (found := self._round_of(key)) is not None
        }

    def _round_of(self, key: str) -> int | None:
        found = _ROUND.match(key.removeprefix(f"{self._folder}/"))
        return int(found[1]) if found else None

    def _pin_of(self, server_round: int) -> str:
        return f"{self._round_folder(server_round)}/{_PINNED}"

    def _round_folder(self, server_round: int) -> str:
        return f"{self._folder}/round_{server_round:06d}"
