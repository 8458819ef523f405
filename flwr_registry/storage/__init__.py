"""Bytes under keys."""

from typing import TYPE_CHECKING, Any

from flwr_registry.storage.bounded_storage import (
    BoundedStorage,
    bounded_storage,
    unbounded_storage,
)
from flwr_registry.storage.deadlines import running_deadline
from flwr_registry.storage.fsspec_storage import FsspecStorageBackend
from flwr_registry.storage.listed_files import (
    InspectedStorage,
    ListedFile,
    listed_files,
)
from flwr_registry.storage.local_storage import LocalStorageBackend
from flwr_registry.storage.sliced_digest import SlicedDigest
from flwr_registry.storage.storage_backend import (
    DIGEST,
    BytesContent,
    ConditionalStorage,
    Content,
    StorageBackend,
    SweepingStorage,
    create_object,
    digest_of,
    is_key,
)
from flwr_registry.storage.storage_urls import storage_from_url

if TYPE_CHECKING:
    from flwr_registry.storage.s3_storage import S3StorageBackend as S3StorageBackend

__all__ = [
    "DIGEST",
    "BoundedStorage",
    "BytesContent",
    "ConditionalStorage",
    "Content",
    "FsspecStorageBackend",
    "InspectedStorage",
    "ListedFile",
    "LocalStorageBackend",
    "S3StorageBackend",
    "SlicedDigest",
    "StorageBackend",
    "SweepingStorage",
    "bounded_storage",
    "create_object",
    "digest_of",
    "is_key",
    "listed_files",
    "running_deadline",
    "storage_from_url",
    "unbounded_storage",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # AWS's client takes longer to import than all the rest.
        if name == "S3StorageBackend":
            from flwr_registry.storage.s3_storage import S3StorageBackend

            return S3StorageBackend
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
