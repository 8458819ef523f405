"""A registered model in use: predictions in process and over HTTP."""

from flwr_registry.serving.input_schema import InputSchema
from flwr_registry.serving.module_factory import described_model
from flwr_registry.serving.predictor import Predictor

__all__ = ["InputSchema", "Predictor", "described_model"]
