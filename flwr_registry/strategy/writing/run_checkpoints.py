"""The checkpoints that a run writes: storage alone, no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    FinishedRound,
    new_run_folder,
)
from flwr_registry.records import StoredObject
from flwr_registry.storage import StorageBackend
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.round_log import (
    log_late_objects,
    log_left_out,
    log_secrets_in_clear,
)
from flwr_registry.strategy.round_snapshot import EndedRound
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.state.secrets_in_clear import secrets_in

__all__ = ["RunCheckpoints"]


class RunCheckpoints:
    """Writes checkpoints of one run.

    Parameters
    ----------
    options : RegistryOptions
        Which checkpoints stay.
    class_chain : str
        Names of the strategy's class and of those that it wraps.
    ledger : RunLedger
        The run's place.
    """

    def __init__(
        self, options: RegistryOptions, class_chain: str, ledger: RunLedger
    ) -> None:
        self._options = options
        self._class_chain = class_chain
        self._ledger = ledger
        self._manager: CheckpointManager | None = None
        self._told: set[str] = set()

    def is_worth(self, ended: EndedRound, *, due: bool) -> bool:
        """Tell whether a checkpoint of a round is to be written.

        One that is not due is written where it costs a manifest alone: the model is a
        version's bytes, and the strategy carries no arrays. It stands until the next,
        so that a strategy without state goes on from its last version.
        """
        state, version = ended.state, ended.model.version.record
        if state is None or (version is None and ended.model.weights is None):
            return False
        return due or (version is not None and not state.arrays)

    def save(
        self, ended: EndedRound, rounds: Mapping[int, FinishedRound], *, due: bool
    ) -> None:
        """Write the checkpoint of a round that is worth one.

        Parameters
        ----------
        rounds : mapping
            What became of each round up to this one.
        """
        state, version = ended.state, ended.model.version.record
        # A version's bytes are not written again.
        weights = version.stored if version else ended.model.weights
        assert state is not None
        assert weights is not None
        self._tell(log_left_out, state.left_out)
        self._tell(log_late_objects, state.late)
        if self._options.state_cipher is None:
            self._tell(log_secrets_in_clear, secrets_in(state.tree))
        provenance = self._ledger.provenance
        content = CheckpointContent(
            server_round=ended.server_round,
            model=provenance.model,
            version=version.version if version else None,
            weights=weights,
            tensor_type=ended.model.tensor_type,
            state=state.tree,
            state_arrays=state.arrays,
            metrics=ended.metrics,
            rounds=self._named(rounds),
            random_state=ended.random_state,
            strategy=self._class_chain,
            fingerprint=ended.reference.given_fingerprint,
            architecture=ended.reference.architecture,
            is_settled=ended.reference.is_settled,
            provenance=provenance,
            metadata=self._ledger.metadata(None),
            registry=self._ledger.database,
            made_of_it=ended.model.made_of_it,
        )
        self._opened().save(content, interim=not due)

    def rounds(self) -> list[int]:
        """List the rounds that have a checkpoint."""
        return self._opened().rounds()

    def content(self, server_round: int) -> CheckpointContent:
        """Read the checkpoint of a round, without its model."""
        return self._opened().load_round(server_round, _unread).content

    def _opened(self) -> CheckpointManager:
        if self._manager is None:
            self._manager = self._placed()
        return self._manager

    def _placed(self) -> CheckpointManager:
        """Go on in the folder of the resumed start, else open a new one."""
        point = self._ledger.resumed
        branches = point is not None and point.branches
        if point is not None and not (branches or self._ledger.hold.needs_own_folder):
            return self._in(point.folder)
        storage = self._ledger.storage
        manager = self._in(new_run_folder(storage, self._ledger.provenance.name))
        if point is not None:
            # A crash before its first own checkpoint must not lead back to the line
            # that was left.
            left = self._in(point.folder)
            manager.save(left.load_round(point.server_round, _unread).content)
        return manager

    def _in(self, folder: str) -> CheckpointManager:
        return CheckpointManager(
            self._ledger.storage,
            folder,
            keep=self._options.keep_checkpoints,
            guard=self._ledger.check_storage,
            cipher=self._options.state_cipher,
        )

    def _named(
        self, rounds: Mapping[int, FinishedRound]
    ) -> Mapping[int, FinishedRound]:
        """Give the nodes the names under which the registry knows them."""
        names = self._options.node_names
        if names.key is None:
            return rounds
        return {
            number: replace(
                finished, contributions=names.contributions(finished.contributions)
            )
            for number, finished in rounds.items()
        }

    def _tell(
        self, log: Callable[[Sequence[str]], None], attributes: Sequence[str]
    ) -> None:
        news = [each for each in attributes if each not in self._told]
        if news:
            self._told.update(news)
            log(news)


def _unread(_: StorageBackend, stored: StoredObject) -> StoredObject:
    """Leave weights where they are."""
    return stored
