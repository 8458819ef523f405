"""The example that serves with several processes, run as its script runs it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "scale_out"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_replicas_and_batches_use_the_promoted_version(tmp_path):
    folder = tmp_path / "scale_out"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["--seconds", "2", "--rows", "5000", "--port", str(free_port())]
    process = subprocess.run(
        ["bash", str(folder / "run.sh"), *words],
        env={**os.environ, "EXAMPLE_VENV": sys.prefix},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stdout
    for expected in (
        r"^1 replica\(s\): [1-9]\d* requests/s by 1\.0\.0$",
        r"^2 replica\(s\): [1-9]\d* requests/s by 1\.0\.0$",
        r"^after the promotion: answers by 1\.1\.0$",
        r"^autoscaling: from 1 to 2 replicas under load$",
        r"^Ray Data: 5000 rows by scores:1\.1\.0, ",
    ):
        assert re.search(expected, process.stdout, re.MULTILINE), process.stdout
