"""Everything that is needed to go on after a crash, without a database."""

from flwr_registry.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointContent,
    Manifest,
)
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
from flwr_registry.checkpointing.measured import flat_metrics, trusted_metrics
from flwr_registry.checkpointing.random_state import (
    capture_random_state,
    restore_random_state,
)
from flwr_registry.checkpointing.run_folders import (
    latest_run_folder,
    new_run_folder,
    run_folders,
)

__all__ = [
    "AnyDue",
    "Checkpoint",
    "CheckpointContent",
    "CheckpointManager",
    "CheckpointScheduler",
    "EveryNRounds",
    "EverySeconds",
    "FinishedRound",
    "Manifest",
    "OnImprovement",
    "RoundEnd",
    "capture_random_state",
    "flat_metrics",
    "latest_run_folder",
    "new_run_folder",
    "restore_random_state",
    "run_folders",
    "trusted_metrics",
]
