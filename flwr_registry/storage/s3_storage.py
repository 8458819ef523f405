"""Storage on S3 and servers that speak its protocol."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from fsspec.asyn import sync

from flwr_registry.records import StoredObject
from flwr_registry.storage.fsspec_storage import FsspecStorage, translated
from flwr_registry.storage.s3_parts import Part, parts_of
from flwr_registry.storage.s3_reader import S3Reader
from flwr_registry.storage.storage_backend import (
    Content,
    check_key,
    complete_key,
    digest_of,
)

__all__ = ["S3Storage"]

_MIB = 1024**2
_PART_BYTES = 8 * _MIB
_PARTS_IN_FLIGHT = 8
_MAX_PARTS = 10_000
# Something lies there; another writer is about to make it.
_TAKEN = {412, 409}
_UNKNOWN_TO_THE_SERVER = 501
_CONFIG: dict[str, Any] = {
    # Some servers refuse the checksum trailers that AWS's own client adds.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "max_attempts": 5},
}


class S3Storage(FsspecStorage):
    """Objects under ``s3://bucket/prefix``, on AWS or any other endpoint.

    Credentials come from where AWS's client takes them: the environment, its files, the
    machine's role. Content that is longer than a part is uploaded in parts, several at
    a time, straight from where it lies in memory. An upload that fails is aborted, so
    that no part of it stays.

    Parameters
    ----------
    url : str
        Bucket and prefix. The bucket has to exist.
    part_bytes : int
        Length of a part, from 5 MiB on; longer where an object would otherwise have
        more than 10,000.
    parts_in_flight : int
        Parts that are uploaded at a time.
    **options
        Handed to ``s3fs.S3FileSystem``, such as ``endpoint_url``, ``key``, ``secret``
        or ``config_kwargs``, which goes before the defaults here: no checksum trailers,
        timeouts of 10 and 30 seconds, 5 attempts; bodies are signed, which costs
        another SHA-256 of each, only where they are not under TLS.

    Raises
    ------
    ValueError
        When parts are too short, or none is to be in flight.
    """

    def __init__(
        self,
        url: str,
        *,
        part_bytes: int = _PART_BYTES,
        parts_in_flight: int = _PARTS_IN_FLIGHT,
        **options: Any,
    ) -> None:
        if part_bytes < 5 * _MIB or parts_in_flight < 1:
            raise ValueError("S3 takes parts from 5 MiB on, at least one at a time")
        signing = {"payload_signing_enabled": not _is_encrypted(options)}
        config = {**_CONFIG, "s3": signing, **options.pop("config_kwargs", {})}
        super().__init__(url, config_kwargs=config, **options)
        # s3fs would try each of the client's attempts again, with a body at its end.
        self._fs.retries = 1
        self._part_bytes = part_bytes
        self._parts_in_flight = parts_in_flight

    def save(self, key: str, content: Content) -> StoredObject:
        """Make `content` durable under `key`, replacing what was there in one step.

        The content is gone over twice, since S3 wants the key first.
        """
        sha256 = digest_of(content)
        key = complete_key(key, sha256)
        place = self._place(key)
        with translated("save", key, self.url):
            if content.size_bytes <= self._part_bytes:
                body = next(parts_of(content, self._part_bytes))
                self._call("put_object", **place, Body=body)
            else:
                self._upload(place, content)
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
        with translated("open", key, self.url):
            raw = S3Reader(self._fs._call_s3, self._fs.loop, place)
        return io.BufferedReader(raw)

    def sweep_unfinished(self, max_age_seconds: float) -> int:
        """Abort uploads that killed processes left; return their bytes."""
        bucket, _, prefix = f"{self._root}/".partition("/")
        limit = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        freed = 0
        with translated("sweep", "", self.url):
            found = self._call("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
            for each in found.get("Uploads", ()):
                if not each["Key"].startswith(prefix) or each["Initiated"] > limit:
                    continue
                place = {"Bucket": bucket, "Key": each["Key"]}
                place["UploadId"] = each["UploadId"]
                parts = self._call("list_parts", **place).get("Parts", ())
                self._call("abort_multipart_upload", **place)
                freed += sum(part["Size"] for part in parts)
        return freed

    def _place(self, key: str) -> dict[str, str]:
        bucket, _, name = self._path(key).partition("/")
        return {"Bucket": bucket, "Key": name}

    def _upload(self, place: dict[str, Any], content: Content) -> None:
        made = self._call("create_multipart_upload", **place)
        place = {**place, "UploadId": made["UploadId"]}
        try:
            size = max(self._part_bytes, -(-content.size_bytes // _MAX_PARTS))
            parts = self._upload_parts(place, parts_of(content, size))
            self._call(
                "complete_multipart_upload", **place, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            with suppress(Exception):
                self._call("abort_multipart_upload", **place)
            raise

    def _upload_parts(
        self, place: dict[str, Any], parts: Iterator[Part]
    ) -> list[dict[str, Any]]:
        """Upload parts as they come, a window of them at a time, in any order."""
        loop = self._fs.loop
        under_way: dict[int, Any] = {}
        done: list[dict[str, Any]] = []

        async def upload(number: int, body: Part) -> dict[str, Any]:
            answer = await self._fs._call_s3(
                "upload_part", **place, PartNumber=number, Body=body
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

        try:
            for number, body in enumerate(parts, start=1):
                under_way[number] = asyncio.run_coroutine_threadsafe(
                    upload(number, body), loop
                )
                if len(under_way) >= self._parts_in_flight:
                    done.append(under_way.pop(min(under_way)).result())
            done += [each.result() for each in under_way.values()]
        except BaseException:
            for each in under_way.values():
                each.cancel()
            raise
        return done

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = sync(
            self._fs.loop, self._fs._call_s3, method, **arguments
        )
        return answer


def _status_of(error: OSError) -> int | None:
    """Status of the answer that s3fs made an error of."""
    response = getattr(error.__cause__, "response", None) or {}
    status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _is_encrypted(options: dict[str, Any]) -> bool:
    """Tell whether requests go over TLS, as they do where no endpoint is named."""
    given = options.get("endpoint_url")
    given = given or options.get("client_kwargs", {}).get("endpoint_url")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        given = given or os.environ.get(name)
    return not str(given or "https://").lower().startswith("http://")
