"""The digest is that of the bytes, however they are cut."""

import hashlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_registry.storage import SlicedDigest

LONG = bytes(range(256)) * 2048


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(LONG)), max_size=12))
def test_slices_of_any_length_give_the_digest_of_all(lengths):
    with SlicedDigest() as digest:
        for length in lengths:
            digest.update(memoryview(LONG)[:length])
        found = digest.hexdigest()
    assert found == hashlib.sha256(b"".join(LONG[:n] for n in lengths)).hexdigest()


def test_no_thread_outlives_it_nor_is_started_for_little():
    before = threading.active_count()
    with SlicedDigest() as digest:
        digest.update(b"little")
        assert threading.active_count() == before
        digest.update(LONG)
        digest.drain()
    assert threading.active_count() == before


def test_an_error_beside_it_ends_the_thread():
    before = threading.active_count()
    with pytest.raises(OSError, match="disk"), SlicedDigest() as digest:
        digest.update(LONG)
        raise OSError("disk")
    assert threading.active_count() == before
