"""Which storage stands behind a URL."""

from __future__ import annotations

import os

from flwr_registry.storage.bounded_storage import BoundedStorage, bounded_storage
from flwr_registry.storage.deadlines import TIMEOUT_SECONDS
from flwr_registry.storage.fsspec_storage import FsspecStorageBackend
from flwr_registry.storage.local_storage import LocalStorageBackend
from flwr_registry.storage.storage_backend import StorageBackend

__all__ = ["storage_from_url"]

_S3 = ("s3://", "s3a://")


def storage_from_url(
    url: str | os.PathLike[str], timeout_seconds: float = TIMEOUT_SECONDS
) -> BoundedStorage:
    """Open the storage at a URL or in a local folder.

    Parameters
    ----------
    url : str or path
        A path, ``file://`` URL, ``s3://`` URL or any other fsspec URL.
    timeout_seconds : float
        How long it may not answer, see `BoundedStorage`.
    """
    return bounded_storage(_opened(os.fspath(url)), timeout_seconds)


def _opened(text: str) -> StorageBackend:
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if text.startswith(_S3):
        # aiobotocore takes a third of a second to import.
        from flwr_registry.storage.s3_storage import S3StorageBackend

        return S3StorageBackend(text)
    return FsspecStorageBackend(text) if "://" in text else LocalStorageBackend(text)
