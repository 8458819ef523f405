"""Uploads to a real S3 server on loopback: speed, processor time and memory.

    cd tests && python -m benchmarks.s3_upload [--megabytes 512] [--tls]

The peers are s3fs's own file (what any fsspec code does) and boto3's ``upload_file``
(where boto3 is installed). Each runs in a process of its own, in turns. Ours and
fsspec's have the model in memory, as in a round, and hash it before; boto3 has it in a
file and does not.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.measuring import (
    MIB,
    PeakMemory,
    in_own_process,
    seconds_of,
    show_table,
)
from storage.s3_servers import CREDENTIALS, seaweedfs

from flwr_registry import S3StorageBackend
from flwr_registry.storage import BytesContent, FsspecStorageBackend

SLICE_BYTES = 4 * MIB


class InMemory:
    """A model in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.size_bytes = len(data)

    def __iter__(self) -> Any:
        for begin in range(0, self.size_bytes, SLICE_BYTES):
            yield self._data[begin : begin + SLICE_BYTES]


def upload(way: str, endpoint: str, path: str) -> dict[str, float]:
    """Upload a file once to warm up and once to measure."""
    work = WAYS[way](endpoint, path)
    content = InMemory(b"" if way == "boto3" else Path(path).read_bytes())
    work("small", BytesContent(b"x"))
    before = resource.getrusage(resource.RUSAGE_SELF)
    with PeakMemory() as memory:
        seconds = seconds_of(lambda: work("large", content))
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": used, "peak_bytes": memory.peak_bytes}


def ours(endpoint: str, path: str) -> Any:
    """`S3StorageBackend`."""
    url = f"s3://models/{uuid4().hex}"
    return S3StorageBackend(url, endpoint_url=endpoint, **CREDENTIALS).save


def fsspec_file(endpoint: str, path: str) -> Any:
    """What any fsspec file system gets."""
    url = f"s3://models/{uuid4().hex}"
    return FsspecStorageBackend(url, endpoint_url=endpoint, **CREDENTIALS).save


def boto3_upload(endpoint: str, path: str) -> Any:
    """The peer."""
    import boto3  # type: ignore[import-not-found,import-untyped]

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["key"],
        aws_secret_access_key=CREDENTIALS["secret"],
    )
    prefix = uuid4().hex

    def work(key: str, content: Any) -> None:
        if key == "large":
            client.upload_file(path, "models", f"{prefix}/{key}")
        else:
            client.put_object(Bucket="models", Key=f"{prefix}/{key}", Body=b"x")

    return work


WAYS = {"S3StorageBackend": ours, "fsspec": fsspec_file, "boto3": boto3_upload}


def make_bucket(endpoint: str) -> None:
    """Make the bucket that all use."""
    ours_ = S3StorageBackend("s3://models", endpoint_url=endpoint, **CREDENTIALS)
    ours_._call("create_bucket", Bucket="models")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    ways = [w for w in WAYS if w != "boto3" or importlib.util.find_spec("boto3")]
    with (
        tempfile.TemporaryDirectory() as folder,
        seaweedfs(encrypted=asked.tls) as endpoint,
    ):
        make_bucket(endpoint)
        path = Path(folder) / "model"
        path.write_bytes(os.urandom(MIB) * asked.megabytes)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(asked.repeats):
            for way in ways:
                result = in_own_process("s3_upload", "upload", way, endpoint, str(path))
                found[way].append(result)
    rows = []
    gigabytes = asked.megabytes * MIB / 1e9
    for way, each in found.items():
        median = {
            name: statistics.median(result[name] for result in each)
            for name in ("seconds", "cpu", "peak_bytes")
        }
        rows.append(
            (
                way,
                f"{1000 * gigabytes / median['seconds']:.0f}",
                f"{median['cpu'] / gigabytes:.2f}",
                f"{median['peak_bytes'] / MIB:.0f}",
            )
        )
    header = ("way", "MB/s", "client CPU s/GB", "extra memory MiB")
    show_table(
        f"S3 upload of {asked.megabytes} MiB{' over TLS' * asked.tls}", header, rows
    )


if __name__ == "__main__":
    main()
