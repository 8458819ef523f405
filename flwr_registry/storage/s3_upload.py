"""Uploading an object to S3 in parts, several at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from flwr_registry.storage.deadlines import Deadline, GivenUpError
from flwr_registry.storage.s3_parts import Part, parts_of
from flwr_registry.storage.s3_requests import S3Requests
from flwr_registry.storage.storage_backend import Content

__all__ = ["S3Upload"]

_MAX_PARTS = 10_000


class S3Upload:
    """Upload contents in parts; one that fails is aborted, so that no part stays.

    Parameters
    ----------
    requests : S3Requests
        Try again what is not answered.
    part_bytes : int
        Length of a part; longer where there would be more than 10,000.
    parts_in_flight : int
        Parts that are uploaded at a time.
    """

    def __init__(
        self, requests: S3Requests, part_bytes: int, parts_in_flight: int
    ) -> None:
        self._requests = requests
        self._part_bytes = part_bytes
        self._parts_in_flight = parts_in_flight

    def __call__(
        self, place: dict[str, Any], content: Content, deadline: Deadline
    ) -> None:
        """Upload a content to a bucket and key."""
        call = self._requests.call
        made = call("create_multipart_upload", deadline, **place)
        place = {**place, "UploadId": made["UploadId"]}
        try:
            size = max(self._part_bytes, -(-content.size_bytes // _MAX_PARTS))
            parts = self._uploaded(place, parts_of(content, size), deadline)
            made = {"Parts": parts}
            call("complete_multipart_upload", deadline, **place, MultipartUpload=made)
        except BaseException as failure:
            self._abort(place, wait=not isinstance(failure, GivenUpError))
            raise

    def _abort(self, place: dict[str, Any], *, wait: bool) -> None:
        """Remove what was uploaded; where nothing is answered, nobody waits for it."""
        deadline = Deadline(self._requests.timeout_seconds)
        aborted = self._requests.begin("abort_multipart_upload", deadline, **place)
        if wait:
            with suppress(Exception):
                self._requests.wait(aborted, deadline)

    def _uploaded(
        self, place: dict[str, Any], parts: Iterator[Part], deadline: Deadline
    ) -> list[dict[str, Any]]:
        """Upload parts as they come, a window of them at a time, in any order."""
        under_way: dict[int, Future[dict[str, Any]]] = {}
        done: list[dict[str, Any]] = []

        def wait_for(number: int) -> None:
            answer = self._requests.wait(under_way.pop(number), deadline)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})

        try:
            for number, body in enumerate(parts, start=1):
                under_way[number] = self._requests.begin(
                    "upload_part", deadline, **place, PartNumber=number, Body=body
                )
                if len(under_way) >= self._parts_in_flight:
                    wait_for(min(under_way))
            for number in sorted(under_way):
                wait_for(number)
        except BaseException:
            for each in under_way.values():
                each.cancel()
            raise
        return done
