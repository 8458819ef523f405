"""Bytes under keys."""

from flwr_registry.storage.fsspec_storage import FsspecStorage
from flwr_registry.storage.local_storage import LocalStorage, storage_from_url
from flwr_registry.storage.storage_backend import (
    DIGEST,
    BytesContent,
    Content,
    StorageBackend,
)

__all__ = [
    "DIGEST",
    "BytesContent",
    "Content",
    "FsspecStorage",
    "LocalStorage",
    "StorageBackend",
    "storage_from_url",
]
