"""The example that serves with several processes, run as its script runs it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from registry.samples import facts_of

from flwr_registry import ModelRegistry
from flwr_registry.records import RunProvenance

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


def test_a_replica_gives_up_a_withdrawn_version_and_waits_for_a_silent_registry(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(EXAMPLE)
    with warnings.catch_warnings():
        # Ray has pydantic do what that deprecates.
        warnings.simplefilter("ignore")
        from scale_out.__main__ import register_versions
        from scale_out.serving import Replica

    places = (str(tmp_path / "registry.db"), str(tmp_path / "weights"))
    with ModelRegistry(*places) as registry:
        register_versions(registry)
        like = registry.get("scores@production")
        version = registry.register(
            registry.load(like.reference),
            model="scores",
            metadata=like.metadata,
            run=registry.start_run(RunProvenance("trial", "scores")),
            facts=facts_of(1, "7"),
        )
        replica = Replica(*places)
        replica.reconfigure({"reference": version.reference})
        replica.check_health()
        registry.withdraw("7", reason="consent")
    with pytest.raises(RuntimeError, match="is withdrawn"):
        replica.check_health()
    (tmp_path / "registry.db").write_bytes(b"no database" * 100)
    replica.check_health()
