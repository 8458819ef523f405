"""Runs all benchmarks, one after another: ``python -m tests.benchmarks``."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
BENCHMARKS = (
    "imports",
    "validation",
    "files",
    "rounds",
    "resume",
    "s3_upload",
    "registrations",
    "serving",
    "registry_scale",
)

if __name__ == "__main__":
    environment = {**os.environ, "FLWR_TELEMETRY_ENABLED": "0"}
    failed = []
    for name in BENCHMARKS:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if subprocess.run(command, cwd=TESTS, env=environment).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
