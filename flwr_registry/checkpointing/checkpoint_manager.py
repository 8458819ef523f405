"""Checkpoints of one run: saved, found, loaded, pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar, overload

from numpy.typing import NDArray

from flwr_registry.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointContent,
    Manifest,
    NewerFormatError,
    decrypted,
    described,
    read_manifest,
    state_purpose,
    with_encrypted_state,
    write_manifest,
)
from flwr_registry.checkpointing.checkpoint_files import (
    STATE,
    WEIGHTS,
    CheckpointFiles,
)
from flwr_registry.checkpointing.measured import trusted_metrics
from flwr_registry.checkpointing.run_folders import ROOT
from flwr_registry.checkpointing.state_cipher import EncryptedStateError, StateCipher
from flwr_registry.errors import (
    CheckpointError,
    IntegrityError,
    ObjectNotFoundError,
    RegistryError,
    SealError,
)
from flwr_registry.keyed_seals import require_key
from flwr_registry.records import StoredObject
from flwr_registry.retention import Kept, LatestN, RetentionPolicy, removed_by
from flwr_registry.shown_text import OneLineLogger
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import (
    Weights,
    decode,
    encode,
    load_separate_arrays,
    load_verified,
    load_weights,
    save_weights,
)

__all__ = ["CheckpointManager"]

Model = TypeVar("Model")
ReadWeights: TypeAlias = Callable[[StorageBackend, StoredObject], Model]

_LOGGER = OneLineLogger("flwr")
_KEEP = LatestN(3)
_LOOKS = 100
_LISTINGS_WITHOUT_ANY = 3


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
    guard : callable, optional
        Asked before a checkpoint is written, and again before it exists: what it raises
        ends the save.
    cipher : StateCipher, optional
        Encrypts and decrypts the strategy's state and the random state, which may name
        nodes; without it they are written as they are.

    Raises
    ------
    InvalidNameError
        When `run` is no name of a folder.
    """

    def __init__(
        self,
        storage: StorageBackend,
        run: str,
        *,
        keep: RetentionPolicy = _KEEP,
        guard: Callable[[], object] | None = None,
        cipher: StateCipher | None = None,
    ) -> None:
        self._storage = storage
        self._files = CheckpointFiles(storage, run)
        self._keep = keep
        self._guard = guard or _let_pass
        self._cipher = cipher

    def save(self, content: CheckpointContent, *, interim: bool = False) -> None:
        """Write a checkpoint; one of the same round is replaced. Then prune.

        Parameters
        ----------
        interim : bool
            It stands only until the next checkpoint, beside what the policy keeps.

        Raises
        ------
        StorageError
            The checkpoint does not exist then, and older ones are as they were.
        TypeError, ValueError
            When the state is no plain data.
        """
        fields = described(content)
        folder = self._files.folder(content.server_round)
        if self._cipher is not None:
            fields = with_encrypted_state(fields, self._cipher, folder)
        state = Weights(content.state_arrays)
        weights = self._lasting(content.weights)
        self._guard()
        # Only now: what cannot be saved must not cost the checkpoint that is there.
        self._files.withdraw(content.server_round)
        if isinstance(weights, Weights):
            key = f"{folder}/{WEIGHTS}"
            weights = save_weights(self._storage, key, weights)
        arrays = None
        if state:
            arrays = self._save_state(folder, state)
        manifest = write_manifest(fields, weights, arrays)
        self._files.write_manifest(content.server_round, manifest, interim=interim)
        self._guard()
        self._files.commit(content.server_round, manifest)
        self._prune_after_save(content)

    def rounds(self) -> list[int]:
        """List the rounds that have a committed checkpoint, oldest first."""
        return list(self._files.list().committed)

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

        A damaged one is named in a warning, and the one before it is taken. One that
        another process removed or replaced meanwhile is not damaged: it is looked again
        what there is.

        Parameters
        ----------
        read_weights : callable
            Reads and verifies the weights in another form, given storage and place.

        Raises
        ------
        CheckpointError
            When a newer release of this package wrote it, or each was removed before it
            was read, again and again.
        StorageError
            When the storage does not answer: that a checkpoint cannot be reached does
            not mean that it is damaged.
        """
        failed: set[int] = set()
        damaged: set[int] = set()
        for _ in range(_LOOKS + 2 * len(self.rounds())):
            left = [
                each for each in self._rounds_beside_a_writer() if each not in damaged
            ]
            if not left:
                return None
            newest = left[-1]
            try:
                return self.load_round(newest, read_weights)
            except (NewerFormatError, EncryptedStateError):
                raise
            except (IntegrityError, CheckpointError, ObjectNotFoundError) as error:
                if newest not in failed:
                    failed.add(newest)
                    continue
                damaged.add(newest)
                _LOGGER.warning(
                    "registry: the checkpoint of round %d is damaged, the one before "
                    "is taken: %s",
                    newest,
                    error,
                )
        raise CheckpointError(
            f"checkpoints such as {self._files.folder(max(failed))} are removed faster "
            "than they can be read: end the run that writes them, or keep more of them"
        )

    def _rounds_beside_a_writer(self) -> list[int]:
        """List the rounds; a listing may miss what comes while the one before goes."""
        found: set[int] = set()
        for _ in range(_LISTINGS_WITHOUT_ANY):
            found = {*self.rounds(), *self.rounds()}
            if found:
                break
        return sorted(found)

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
        EncryptedStateError
            When its state is encrypted under a node key that is not given.
        """
        manifest = self.manifest_of(server_round)
        folder = self._files.folder(server_round)
        content = manifest.content_with(self._cipher, folder)
        content = replace(content, state_arrays=self._state_arrays_of(manifest))
        weights = read_weights(self._storage, manifest.weights)
        return Checkpoint(weights, manifest.weights, content)

    def manifest_of(self, server_round: int) -> Manifest:
        """Read the verified manifest of a round's checkpoint, without any array.

        Raises
        ------
        ObjectNotFoundError, IntegrityError, CheckpointError
            As `load_round` does.
        """
        manifest = read_manifest(self._files.read_manifest(server_round))
        if manifest.content.server_round != server_round:
            raise CheckpointError(
                f"{self._files.folder(server_round)} holds round "
                f"{manifest.content.server_round}, not its own"
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
        self._files.pin(server_round)

    def unpin(self, server_round: int) -> None:
        """Leave the checkpoint of a round to the policy again."""
        self._files.unpin(server_round)

    def seal(self, *, replace: bool = False) -> list[int]:
        """Seal the checkpoints that have no seal, with ``FLWR_REGISTRY_SEAL_KEY``.

        One that cannot be sealed is named in a warning, and keeps no other from it.

        Parameters
        ----------
        replace : bool
            Also those whose seal is of another key.

        Returns
        -------
        list of int
            Rounds that have a new seal.

        Raises
        ------
        SealError
            When no key is set, or a seal is wrong that shall not be replaced.
        IntegrityError, CheckpointError
            For the first one that is damaged; all others are sealed.
        """
        require_key()
        sealed: list[int] = []
        failed: list[RegistryError] = []
        for each in self.rounds():
            try:
                if self._files.seal(each, replace=replace):
                    sealed.append(each)
            except (SealError, IntegrityError, CheckpointError) as error:
                failed.append(error)
                _LOGGER.warning(
                    "registry: %s gets no seal: %s", self._files.folder(each), error
                )
        if failed:
            raise failed[0]
        return sealed

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
        found = self._files.list()
        newest = found.committed[-1:]
        lasting = [each for each in found.committed if each not in found.interim]
        items = [
            Kept(
                each,
                each,
                metrics=(metrics or {}).get(each, {}),
                # The newest lasting one too: an interim one may turn out damaged.
                pinned=each in found.pinned or each == lasting[-1],
            )
            for each in lasting
        ]
        given_up = removed_by(self._keep, items, datetime.now(UTC))
        passing = found.interim.intersection(found.committed) - found.pinned
        gone = sorted({item.order for item in given_up} | passing.difference(newest))
        left = {each for each in found.unfinished if each < max(newest, default=0)}
        self._files.remove([*gone, *sorted(left)])
        return gone

    def _save_state(self, folder: str, state: Weights) -> StoredObject:
        key = f"{folder}/{STATE}"
        if self._cipher is None:
            return save_weights(self._storage, key, state)
        purpose = state_purpose(folder)
        return self._storage.save(key, self._cipher.encrypted(encode(state), purpose))

    def _state_arrays_of(self, manifest: Manifest) -> Mapping[str, NDArray[Any]]:
        stored = manifest.state_arrays
        if stored is None:
            return {}
        if not manifest.encrypted:
            return load_separate_arrays(self._storage, stored)
        data = load_verified(self._storage, stored)
        purpose = state_purpose(self._files.folder(manifest.content.server_round))
        arrays = decode(decrypted(self._cipher, data, purpose))
        # Each its own: one that a strategy keeps must not keep all others.
        return {name: array.copy(order="K") for name, array in arrays.items()}

    def _lasting(self, weights: Weights | StoredObject) -> Weights | StoredObject:
        """Take weights out of a checkpoint, which would be pruned with them."""
        if isinstance(weights, StoredObject) and weights.key.startswith(f"{ROOT}/"):
            return load_weights(self._storage, weights)
        return weights

    def _prune_after_save(self, content: CheckpointContent) -> None:
        measured = trusted_metrics(content.metrics)
        for server_round, finished in content.rounds.items():
            if finished.errors:
                # What failed takes no place among the best, whatever was measured.
                measured.pop(server_round, None)
        try:
            self.prune(measured)
        except RegistryError as error:
            _LOGGER.warning("registry: old checkpoints could not be removed: %s", error)


def _let_pass() -> None:
    """Let any checkpoint be written."""
