"""A registered model in use: predictions in process and over HTTP."""

from typing import TYPE_CHECKING, Any

from flwr_registry.serving.input_schema import InputSchema
from flwr_registry.serving.module_factory import described_model
from flwr_registry.serving.predictor import Predictor
from flwr_registry.serving.predictor_loader import PredictorLoader

if TYPE_CHECKING:
    from flwr_registry.serving.model_server import ModelServer as ModelServer

__all__ = [
    "InputSchema",
    "ModelServer",
    "Predictor",
    "PredictorLoader",
    "described_model",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Whoever predicts in process has no need of a web server.
        if name == "ModelServer":
            from flwr_registry.serving.model_server import ModelServer

            return ModelServer
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
