"""Whether a model is fit to use."""

from flwr_registry.validation.booster_content import booster_errors, is_booster
from flwr_registry.validation.checks import (
    MetricRanges,
    checked_ranges,
    metrics_in_range,
)
from flwr_registry.validation.distributions import LiveDistribution, TensorReference
from flwr_registry.validation.drift_detector import DriftDetector
from flwr_registry.validation.model_validator import Candidate, ModelValidator
from flwr_registry.validation.update_drift import UpdateMeter

__all__ = [
    "Candidate",
    "DriftDetector",
    "LiveDistribution",
    "MetricRanges",
    "ModelValidator",
    "TensorReference",
    "UpdateMeter",
    "booster_errors",
    "checked_ranges",
    "is_booster",
    "metrics_in_range",
]
