"""A storage says where it is without what opens it."""

import pytest

from flwr_registry.storage.fsspec_storage import FsspecStorageBackend


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://ann:pw@host/a", "memory://host/a"),
        ("memory://host/a?sig=planted&sv=1", "memory://host/a?***"),
        ("filecache::memory://ann:pw@host/a", "filecache::memory://host/a"),
        ("memory://a/b@c", "memory://a/b@c"),
    ],
)
def test_no_credentials_are_shown(url, shown):
    assert FsspecStorageBackend(url).url == shown
