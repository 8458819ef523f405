"""What S3 has that other storages have not: parts, and credentials."""

import json
from uuid import uuid4

import pytest
from storage.s3_servers import CREDENTIALS, SERVERS, seaweedfs

from flwr_registry.errors import StorageError
from flwr_registry.storage import BytesContent, S3StorageBackend, SweepingStorage
from flwr_registry.storage.storage_urls import storage_from_url

pytestmark = pytest.mark.usefixtures("untouched_generators")

PART_BYTES = 5 * 2**20


@pytest.fixture(params=SERVERS)
def endpoint(request, s3_endpoint):
    return s3_endpoint(request.param)


@pytest.fixture
def storage(endpoint):
    return opened(endpoint, uuid4().hex)


def opened(endpoint, prefix, **options):
    options = {**CREDENTIALS, "part_bytes": PART_BYTES, **options}
    return S3StorageBackend(f"s3://models/{prefix}", endpoint_url=endpoint, **options)


def uploads_of(storage):
    prefix = storage.url.removeprefix("s3://models/") + "/"
    found = storage._call("list_multipart_uploads", Bucket="models", Prefix=prefix)
    return found.get("Uploads", [])


class Cut:
    """Content that ends with an error after two parts and a half."""

    size_bytes = 4 * PART_BYTES

    def __init__(self, error):
        self.error = error
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        piece = memoryview(bytes(PART_BYTES // 2))
        for number in range(8):
            if self.passes == 2 and number == 5:
                raise self.error
            yield piece


@pytest.mark.slow
@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_an_upload_that_fails_leaves_no_part_behind(storage, error):
    storage.save("a", BytesContent(b"before"))
    with pytest.raises((StorageError, KeyboardInterrupt)):
        storage.save("a", Cut(error))
    assert storage.load("a") == b"before"
    assert uploads_of(storage) == []


def test_parts_of_killed_uploads_are_swept_by_age_and_place(endpoint, storage):
    assert isinstance(storage, SweepingStorage)
    beside = opened(endpoint, storage.url.rpartition("/")[2] + "-beside")
    for each in (storage, beside):
        prefix = each.url.removeprefix("s3://models/")
        place = {"Bucket": "models", "Key": f"{prefix}/models/left"}
        made = each._call("create_multipart_upload", **place)
        place["UploadId"] = made["UploadId"]
        each._call("upload_part", **place, PartNumber=1, Body=b"x" * 1000)
    assert storage.sweep_unfinished(3600) == 0
    assert storage.sweep_unfinished(-60) == 1000
    assert storage.sweep_unfinished(-60) == 0
    assert beside.sweep_unfinished(-60) == 1000


def test_parts_grow_where_there_would_be_too_many(storage, monkeypatch):
    monkeypatch.setattr("flwr_registry.storage.s3_upload._MAX_PARTS", 2)
    data = bytes(range(256)) * (17 * 2**20 // 256) + b"end"
    storage.save("a", BytesContent(data))
    assert storage.load("a") == data


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True])
def test_bodies_are_signed_where_nothing_else_guards_them(encrypted):
    data = bytes(range(256)) * (12 * 2**20 // 256)
    sent = []
    with seaweedfs(encrypted=encrypted) as endpoint:
        storage = opened(endpoint, "x")
        storage._call("create_bucket", Bucket="models")
        storage._fs.s3.meta.events.register_first(
            "before-send.s3",
            lambda request, **_: sent.append(request.headers["X-Amz-Content-SHA256"]),
        )
        storage.save("a", BytesContent(data))
        storage.save("b", BytesContent(b""))
        assert storage.load("a") == data
        assert storage.load("b") == b""
    assert (b"UNSIGNED-PAYLOAD" in sent) is encrypted


@pytest.mark.slow
def test_credentials_are_in_no_message(endpoint):
    wrong = opened(endpoint, "x", key="AKIAWRONG", secret="do-not-tell-this")
    with pytest.raises(StorageError) as caught:
        wrong.save("a", BytesContent(b"x"))
    chain, told = caught.value, ""
    while chain is not None:
        told += repr(chain)
        chain = chain.__cause__
    assert "do-not-tell-this" not in told + repr(wrong) + wrong.url


def test_a_bucket_that_is_not_there_is_told(endpoint):
    storage = S3StorageBackend(
        "s3://no-such-bucket/x", endpoint_url=endpoint, **CREDENTIALS
    )
    with pytest.raises(StorageError, match="no-such-bucket"):
        storage.save("a", BytesContent(b"x"))


@pytest.mark.parametrize("wrong", [{"part_bytes": 2**20}, {"parts_in_flight": 0}])
def test_parts_have_to_be_long_enough(wrong):
    with pytest.raises(ValueError, match="5 MiB"):
        S3StorageBackend("s3://models", **CREDENTIALS, **wrong)


def test_a_bucket_alone_is_a_place():
    assert S3StorageBackend("models").url == "s3://models"
    assert S3StorageBackend("models/trial").url == "s3://models/trial"


@pytest.mark.parametrize("wrong", ["file:///srv/models", "gs://models/x", "memory://x"])
def test_what_is_no_place_on_s3_is_refused(wrong):
    with pytest.raises(ValueError, match="use s3://BUCKET/PREFIX"):
        S3StorageBackend(wrong)


def test_the_environment_says_where_and_who(s3_environment):
    storage = storage_from_url(f"s3://models/{uuid4().hex}")
    assert isinstance(storage.storage, S3StorageBackend)
    storage.save("a", BytesContent(json.dumps([1]).encode()))
    assert list(storage.list("")) == ["a"]
