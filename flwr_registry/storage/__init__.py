"""Bytes under keys."""

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
    "BytesContent",
    "ConditionalStorage",
    "Content",
    "FsspecStorage",
    "LocalStorage",
    "SlicedDigest",
    "StorageBackend",
    "SweepingStorage",
    "digest_of",
    "storage_from_url",
]
