"""A model registry for Flower: every round becomes a verified version with its past.

One line adopts it::

    strategy = RegistryStrategy(FedAvg())

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # As __getattr__ finds them; without it, so that a misspelt name is a type error.
    from flwr_registry import errors as errors
    from flwr_registry.checkpointing import CheckpointManager as CheckpointManager
    from flwr_registry.checkpointing import CheckpointScheduler as CheckpointScheduler
    from flwr_registry.checkpointing import EveryNRounds as EveryNRounds
    from flwr_registry.checkpointing import EverySeconds as EverySeconds
    from flwr_registry.checkpointing import OnImprovement as OnImprovement
    from flwr_registry.errors import RegistryError as RegistryError
    from flwr_registry.records import ModelVersion as ModelVersion
    from flwr_registry.registry import AsyncModelRegistry as AsyncModelRegistry
    from flwr_registry.registry import BetterThanProduction as BetterThanProduction
    from flwr_registry.registry import FewestContributors as FewestContributors
    from flwr_registry.registry import MetricAtLeast as MetricAtLeast
    from flwr_registry.registry import MetricAtMost as MetricAtMost
    from flwr_registry.registry import ModelRegistry as ModelRegistry
    from flwr_registry.registry import PrivacyBudgetAtMost as PrivacyBudgetAtMost
    from flwr_registry.registry import PromotionGate as PromotionGate
    from flwr_registry.registry import VersionManager as VersionManager
    from flwr_registry.retention import AnyOf as AnyOf
    from flwr_registry.retention import BestN as BestN
    from flwr_registry.retention import EveryNth as EveryNth
    from flwr_registry.retention import KeepAll as KeepAll
    from flwr_registry.retention import LatestN as LatestN
    from flwr_registry.retention import RetentionPolicy as RetentionPolicy
    from flwr_registry.retention import YoungerThan as YoungerThan
    from flwr_registry.serving import InputSchema as InputSchema
    from flwr_registry.serving import ModelServer as ModelServer
    from flwr_registry.serving import Predictor as Predictor
    from flwr_registry.serving import PredictorLoader as PredictorLoader
    from flwr_registry.serving import described_model as described_model
    from flwr_registry.storage import LocalStorageBackend as LocalStorageBackend
    from flwr_registry.storage import S3StorageBackend as S3StorageBackend
    from flwr_registry.storage import StorageBackend as StorageBackend
    from flwr_registry.strategy import RegistryStrategy as RegistryStrategy
    from flwr_registry.validation import DriftDetector as DriftDetector
    from flwr_registry.validation import ModelValidator as ModelValidator
    from flwr_registry.weights import Weights as Weights

    __version__: str

_PLACES = {
    "AnyOf": "retention",
    "AsyncModelRegistry": "registry",
    "BestN": "retention",
    "CheckpointManager": "checkpointing",
    "CheckpointScheduler": "checkpointing",
    "EveryNRounds": "checkpointing",
    "EverySeconds": "checkpointing",
    "OnImprovement": "checkpointing",
    "EveryNth": "retention",
    "KeepAll": "retention",
    "LatestN": "retention",
    "ModelRegistry": "registry",
    "BetterThanProduction": "registry",
    "FewestContributors": "registry",
    "MetricAtLeast": "registry",
    "MetricAtMost": "registry",
    "PrivacyBudgetAtMost": "registry",
    "PromotionGate": "registry",
    "VersionManager": "registry",
    "DriftDetector": "validation",
    "ModelValidator": "validation",
    "ModelVersion": "records",
    "RegistryError": "errors",
    "RegistryStrategy": "strategy",
    "RetentionPolicy": "retention",
    "InputSchema": "serving",
    "ModelServer": "serving",
    "Predictor": "serving",
    "PredictorLoader": "serving",
    "described_model": "serving",
    "LocalStorageBackend": "storage",
    "S3StorageBackend": "storage",
    "StorageBackend": "storage",
    "Weights": "weights",
    "YoungerThan": "retention",
    "errors": "",
}

__all__ = sorted(_PLACES)  # noqa: PLE0605


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("importlib.metadata").version("flwr-registry")
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_PLACES[name] or name}")
        value = getattr(module, name) if _PLACES[name] else module
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
