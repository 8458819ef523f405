"""Everything that is needed to go on after a crash, without a database."""

from flwr_registry.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointContent,
    Manifest,
)
from flwr_registry.checkpointing.checkpoint_files import is_checkpoint_key
from flwr_registry.checkpointing.checkpoint_manager import CheckpointManager
from flwr_registry.checkpointing.checkpoint_scheduler import (
    AnyDue,
    CheckpointScheduler,
    EveryNRounds,
    EverySeconds,
    OnImprovement,
    RoundEnd,
)
from flwr_registry.checkpointing.finished_round import FinishedRound
from flwr_registry.checkpointing.found_manifests import (
    FoundManifest,
    each_manifest,
    manifests_of,
)
from flwr_registry.checkpointing.lease_store import LeaseStore, newest_lease, newest_of
from flwr_registry.checkpointing.measured import (
    flat_metrics,
    number_of,
    trusted_metrics,
)
from flwr_registry.checkpointing.random_state import (
    capture_random_state,
    restore_random_state,
)
from flwr_registry.checkpointing.run_folders import (
    latest_run_folder,
    new_run_folder,
    run_folders,
)
from flwr_registry.checkpointing.run_lease import RunLease
from flwr_registry.checkpointing.state_cipher import EncryptedStateError, StateCipher
from flwr_registry.checkpointing.storage_leases import StorageLeases, is_lease_key

__all__ = [
    "AnyDue",
    "Checkpoint",
    "CheckpointContent",
    "CheckpointManager",
    "CheckpointScheduler",
    "EncryptedStateError",
    "EveryNRounds",
    "EverySeconds",
    "FinishedRound",
    "FoundManifest",
    "LeaseStore",
    "Manifest",
    "OnImprovement",
    "RoundEnd",
    "RunLease",
    "StateCipher",
    "StorageLeases",
    "capture_random_state",
    "each_manifest",
    "flat_metrics",
    "is_checkpoint_key",
    "is_lease_key",
    "latest_run_folder",
    "manifests_of",
    "new_run_folder",
    "newest_lease",
    "newest_of",
    "number_of",
    "restore_random_state",
    "run_folders",
    "trusted_metrics",
]
