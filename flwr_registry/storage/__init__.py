"""Bytes under keys."""

from flwr_registry.storage.bounded_storage import (
    BoundedStorage,
    bounded_storage,
    unbounded_storage,
)
from flwr_registry.storage.deadlines import running_deadline
from flwr_registry.storage.fsspec_storage import FsspecStorage
from flwr_registry.storage.local_storage import LocalStorage
from flwr_registry.storage.sliced_digest import SlicedDigest
from flwr_registry.storage.storage_backend import (
    DIGEST,
    BytesContent,
    ConditionalStorage,
    Content,
    StorageBackend,
    SweepingStorage,
    digest_of,
)
from flwr_registry.storage.storage_urls import storage_from_url

__all__ = [
    "DIGEST",
    "BoundedStorage",
    "BytesContent",
    "ConditionalStorage",
    "Content",
    "FsspecStorage",
    "LocalStorage",
    "SlicedDigest",
    "StorageBackend",
    "SweepingStorage",
    "bounded_storage",
    "digest_of",
    "running_deadline",
    "storage_from_url",
    "unbounded_storage",
]
