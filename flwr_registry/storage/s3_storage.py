"""Storage on S3 and servers that speak its protocol."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, BinaryIO

from flwr_registry.errors import StorageError
from flwr_registry.masking import masked_text
from flwr_registry.records import StoredObject
from flwr_registry.storage.deadlines import (
    timed_out,
)
from flwr_registry.storage.fsspec_storage import FsspecStorageBackend, translated
from flwr_registry.storage.listed_files import ListedFile
from flwr_registry.storage.s3_parts import Part, parts_of
from flwr_registry.storage.s3_reader import S3Reader
from flwr_registry.storage.s3_requests import S3Requests
from flwr_registry.storage.s3_upload import S3Upload
from flwr_registry.storage.storage_backend import (
    Content,
    check_key,
    complete_key,
    digest_of,
)

__all__ = ["S3StorageBackend"]

_MIB = 1024**2
_PART_BYTES = 8 * _MIB
_PARTS_IN_FLIGHT = 8
# Something lies there; another writer is about to make it.
_TAKEN = {412, 409}
_UNKNOWN_TO_THE_SERVER = 501
_CONFIG: dict[str, Any] = {
    # Some servers refuse the checksum trailers that AWS's own client adds.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "connect_timeout": 10,
    # Deadlines end what takes too long; few have to be longer than this.
    "read_timeout": 600,
}
_ATTEMPTS = 5
_ONCE = {"mode": "standard", "total_max_attempts": 1}


class S3StorageBackend(FsspecStorageBackend):
    """Objects under ``s3://bucket/prefix``, on AWS or any other endpoint.

    Credentials come from where AWS's client takes them: the environment, its files, the
    machine's role. Content that is longer than a part is uploaded in parts, several at
    a time, straight from where it lies in memory. An upload that fails is aborted, so
    that no part of it stays.

    Parameters
    ----------
    url : str
        Bucket and prefix, with or without ``s3://``. The bucket has to exist.
    part_bytes : int
        Length of a part, from 5 MiB on; longer where an object would otherwise have
        more than 10,000.
    parts_in_flight : int
        Parts that are uploaded at a time.
    timeout_seconds : float, optional
        How long an operation may take, and one second more for each MiB that is moved;
        without it, as long as `bounded_storage` says, else 60 seconds.
    **options
        Handed to ``s3fs.S3FileSystem``, such as ``endpoint_url``, ``key``, ``secret``
        or ``config_kwargs``, which goes before the defaults here: no checksum trailers,
        10 seconds to connect, 5 attempts; bodies are signed, which costs another
        SHA-256 of each, only where they are not under TLS.

    Raises
    ------
    ValueError
        When parts are too short, none is to be in flight, there is no time, or the URL
        is none of S3.
    """

    def __init__(
        self,
        url: str,
        *,
        part_bytes: int = _PART_BYTES,
        parts_in_flight: int = _PARTS_IN_FLIGHT,
        timeout_seconds: float | None = None,
        **options: Any,
    ) -> None:
        if part_bytes < 5 * _MIB or parts_in_flight < 1:
            raise ValueError("S3 takes parts from 5 MiB on, at least one at a time")
        url = url if "://" in url else f"s3://{url}"
        if not url.startswith(("s3://", "s3a://")):
            raise ValueError(
                f"{masked_text(url)!r} is no place on S3: use s3://BUCKET/PREFIX"
            )
        signing = {"payload_signing_enabled": not _is_encrypted(options)}
        config = {**_CONFIG, "s3": signing, **options.pop("config_kwargs", {})}
        attempts = _attempts(config.get("retries") or {})
        config["retries"] = _ONCE
        super().__init__(url, config_kwargs=config, **options)
        # s3fs would try each of the client's attempts again, with a body at its end.
        self._fs.retries = 1
        self._requests = S3Requests(self._fs, attempts, timeout_seconds)
        self._call = self._requests.call
        self._part_bytes = part_bytes
        self._upload = S3Upload(self._requests, part_bytes, parts_in_flight)

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step.

        The content is gone over twice, since S3 wants the key first.
        """
        sha256 = digest_of(content)
        key = complete_key(key, sha256)
        place = self._place(key)
        deadline = self._requests.deadline(content.size_bytes)
        with translated("save", key, self.url):
            if content.size_bytes <= self._part_bytes:
                body = next(parts_of(content, self._part_bytes))
                self._call("put_object", deadline, **place, Body=body)
            else:
                self._upload(place, content, deadline)
        return StoredObject(key, content.size_bytes, sha256)

    def _create(self, key: str, content: Content) -> None:
        body = Part(list(content))
        try:
            self._call("put_object", **self._place(key), Body=body, IfNoneMatch="*")
        except OSError as error:
            status = _status_of(error)
            if status in _TAKEN:
                raise FileExistsError(key) from error
            if status != _UNKNOWN_TO_THE_SERVER:
                raise
            self.save(key, content)

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; the file can seek.

        Bytes are fetched by ranges: a small read costs little, a long one is met by
        ranges that are fetched ahead, and one that breaks off is asked for again.
        """
        place = self._place(check_key(key))
        refusal = partial(timed_out, "read", key, self.url)
        with translated("open", key, self.url):
            raw = S3Reader(self._requests, place, refusal)
        return io.BufferedReader(raw)

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""
        place = self._place(check_key(key))
        with translated("delete", key, self.url), suppress(FileNotFoundError):
            self._call("delete_object", **place)

    def exists(self, key: str) -> bool:
        """Tell whether an object is stored under the key."""
        place = self._place(check_key(key))
        with translated("look up", key, self.url):
            try:
                self._call("head_object", **place)
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all files below the folder `prefix`, sorted; all with ``""``."""
        return (each.key for each in self.inspect(prefix))

    def inspect(self, prefix: str) -> Iterator[ListedFile]:
        """Give each object below the folder `prefix`, sorted by name; opens none."""
        folder = self._path(check_key(prefix)) if prefix else self._root
        bucket, _, below = f"{folder}/".partition("/")
        with translated("list", prefix, self.url):
            objects = list(self._objects(bucket, below))
        start = len(self._root.partition("/")[2]) + 1 if "/" in self._root else 0
        found = (
            ListedFile(each["Key"][start:], each["Size"], each["LastModified"])
            for each in sorted(objects, key=lambda each: str(each["Key"]))
        )
        return (each for each in found if _is_shown(each.key))

    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Abort uploads that killed processes left; return their bytes."""
        bucket, _, prefix = f"{self._root}/".partition("/")
        limit = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        freed = 0
        deadline = self._requests.deadline()
        place = {"Bucket": bucket, "Prefix": prefix}
        with translated("sweep", "", self.url):
            found = self._call("list_multipart_uploads", deadline, **place)
            for each in found.get("Uploads", ()):
                if not each["Key"].startswith(prefix) or each["Initiated"] > limit:
                    continue
                place = {"Bucket": bucket, "Key": each["Key"]}
                place["UploadId"] = each["UploadId"]
                parts = self._call("list_parts", deadline, **place).get("Parts", ())
                self._call("abort_multipart_upload", deadline, **place)
                deadline.allow_bytes(_MIB)
                freed += sum(part["Size"] for part in parts)
        return freed

    def _objects(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Describe all objects of a bucket whose names begin with a prefix."""
        deadline = self._requests.deadline()
        page = {"Bucket": bucket, "Prefix": prefix}
        while True:
            try:
                found = self._call("list_objects_v2", deadline, **page)
            except FileNotFoundError as error:
                # A bucket that is not there is no empty one.
                raise StorageError(f"{self.url} does not exist: {error}") from error
            yield from found.get("Contents", ())
            if not found.get("IsTruncated"):
                return
            page["ContinuationToken"] = found["NextContinuationToken"]
            deadline.allow_bytes(_MIB)

    def _place(self, key: str) -> dict[str, str]:
        bucket, _, name = self._path(key).partition("/")
        return {"Bucket": bucket, "Key": name}


def _status_of(error: OSError) -> int | None:
    """Status of the answer that s3fs made an error of."""
    response = getattr(error.__cause__, "response", None) or {}
    status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _attempts(retries: dict[str, Any]) -> int:
    """Read how often the client's own configuration would send a request."""
    if "total_max_attempts" in retries:
        return int(retries["total_max_attempts"])
    return int(retries.get("max_attempts", _ATTEMPTS - 1)) + 1


def _is_shown(key: str) -> bool:
    """Tell objects from what stands for a folder, or is hidden."""
    return not key.endswith("/") and not key.rpartition("/")[2].startswith(".")


def _is_encrypted(options: dict[str, Any]) -> bool:
    """Tell whether requests go over TLS, as they do where no endpoint is named."""
    given = options.get("endpoint_url")
    given = given or options.get("client_kwargs", {}).get("endpoint_url")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        given = given or os.environ.get(name)
    return not str(given or "https://").lower().startswith("http://")
