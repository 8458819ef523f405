"""Named arrays, their architecture and their file."""

from flwr_registry.weights.architecture import Architecture, TensorSpec
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.safetensors_file import decode, encode
from flwr_registry.weights.stored_weights import load_weights, save_weights

__all__ = [
    "Architecture",
    "TensorSpec",
    "Weights",
    "decode",
    "encode",
    "load_weights",
    "save_weights",
]
