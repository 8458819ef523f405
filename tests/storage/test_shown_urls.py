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
        ("memory://ann:pl/anted@host/a", "memory://host/a"),
        ("memory://ann:pl anted@host/a", "memory://host/a"),
        ("memory://host/a?planted", "memory://host/a?***"),
        ("memory://host/a#planted", "memory://host/a#***"),
        ("memory://hooks/9f86d081884c7d659a2feaa0c55ad015",) * 2,
    ],
)
def test_no_credentials_are_shown(url, shown):
    assert FsspecStorageBackend(url).url == shown
