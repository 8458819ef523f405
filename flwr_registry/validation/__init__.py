"""Whether a model is fit to use."""

from flwr_registry.validation.model_validator import Candidate, ModelValidator

__all__ = ["Candidate", "ModelValidator"]
