"""Named arrays, their architecture and their file."""

from flwr_registry.weights.architecture import (
    Architecture,
    TensorSpec,
    dtypes_to_cast_back,
)
from flwr_registry.weights.model_files import ModelFile, read_model_file
from flwr_registry.weights.named_arrays import Weights
from flwr_registry.weights.npy_images import NpyImages, load_npy_images
from flwr_registry.weights.one_pass import load_separate_arrays
from flwr_registry.weights.safetensors_file import decode, encode
from flwr_registry.weights.stored_tensors import open_tensors
from flwr_registry.weights.stored_weights import (
    copy_verified,
    load_verified,
    load_weights,
    save_weights,
    verify_stored,
)
from flwr_registry.weights.tensor_comparison import compare_stored

__all__ = [
    "Architecture",
    "ModelFile",
    "NpyImages",
    "TensorSpec",
    "Weights",
    "compare_stored",
    "copy_verified",
    "decode",
    "dtypes_to_cast_back",
    "encode",
    "load_npy_images",
    "load_separate_arrays",
    "load_verified",
    "load_weights",
    "open_tensors",
    "read_model_file",
    "save_weights",
    "verify_stored",
]
