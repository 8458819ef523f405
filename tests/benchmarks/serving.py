"""What it costs to be asked over HTTP, against the function itself and MLServer.

    cd tests && python -m benchmarks.serving --mlserver-python PATH

PATH is the interpreter of an environment with ``mlserver``; without it our own figures
are printed alone. Both serve the same numpy function, a network of two layers, by the
same request of the Open Inference Protocol, one example as JSON, each server in one
process. They are asked in turns, over connections that stay open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import seconds_of, show_table

from flwr_registry import ModelRegistry

REQUESTS = 3000
TURNS = 5
TESTS = Path(__file__).parents[1]
WEIGHTS = {
    "hidden": np.random.default_rng(1).normal(size=(64, 128)).astype(np.float32),
    "output": np.random.default_rng(2).normal(size=(128, 10)).astype(np.float32),
}
FEATURES = np.random.default_rng(3).random((1, 64)).astype(np.float32)

PEER = """
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Network(MLModel):
    async def load(self):
        self.weights = dict(np.load("weights.npz"))
        return True

    async def predict(self, payload):
        inputs = NumpyCodec.decode_input(payload.inputs[0])
        hidden = np.maximum(inputs @ self.weights["hidden"], 0)
        made = hidden @ self.weights["output"]
        output = NumpyCodec.encode_output("output", made)
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


def predict(weights: Any, inputs: Any) -> Any:
    """Run the network."""
    return np.maximum(inputs @ weights["hidden"], 0) @ weights["output"]


def request_bytes() -> bytes:
    """Return one whole request."""
    tensor = {
        "name": "input",
        "datatype": "FP32",
        "shape": list(FEATURES.shape),
        "data": FEATURES.ravel().tolist(),
    }
    body = json.dumps({"inputs": [tensor]}).encode()
    head = (
        "POST /v2/models/network/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, count: int, seconds: list[float]) -> None:
    """Ask over one connection, and note how long each answer takes."""
    request = request_bytes()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


def asked(port: int, connections: int, requests: int) -> tuple[float, float, float]:
    """Return requests per second, and the median and 99th percentile in seconds."""
    seconds: list[float] = []

    async def work() -> None:
        each = requests // connections
        await asyncio.gather(*(ask(port, each, seconds) for _ in range(connections)))

    elapsed = seconds_of(lambda: asyncio.run(work()))
    ordered = sorted(seconds)
    return (
        len(seconds) / elapsed,
        statistics.median(ordered),
        ordered[int(0.99 * len(ordered))],
    )


@contextmanager
def running(command: list[str], folder: str, port: int) -> Iterator[int]:
    """Run a server until it answers, within the block."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    silent = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=silent, stderr=silent
    ) as process:
        try:
            for _ in range(600):
                try:
                    asked(port, 1, 1)
                    break
                except (OSError, RuntimeError, asyncio.IncompleteReadError):
                    if process.poll() is not None:
                        raise SystemExit(f"{command[0]} ended by itself") from None
                    time.sleep(0.1)
            yield port
        finally:
            process.kill()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def our_server() -> Iterator[int]:
    """Serve the network from a registry."""
    with tempfile.TemporaryDirectory() as folder:
        with ModelRegistry(f"{folder}/registry.db", folder) as registry:
            registry.register(WEIGHTS, model="network")
            registry.promote("network:1.0.0")
        port = free_port()
        command = [sys.executable, "-m", "flwr_registry.cli", "serve"]
        command += ["--model", "network", "--predict", "benchmarks.serving:predict"]
        command += ["--port", str(port), "--registry", f"{folder}/registry.db"]
        with running(command, folder, port) as found:
            yield found


@contextmanager
def mlserver(python: str) -> Iterator[int]:
    """Serve the network by MLServer."""
    with tempfile.TemporaryDirectory() as folder:
        place, port = Path(folder), free_port()
        np.savez(place / "weights.npz", **WEIGHTS)
        (place / "peer.py").write_text(PEER)
        model = {"name": "network", "implementation": "peer.Network"}
        (place / "model-settings.json").write_text(json.dumps(model))
        settings = {
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": 0,
            "debug": False,
        }
        (place / "settings.json").write_text(json.dumps(settings))
        command = [str(Path(python).with_name("mlserver")), "start", "."]
        with running(command, folder, port) as found:
            yield found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mlserver-python", help="python with mlserver")
    chosen = parser.parse_args()
    direct = statistics.median(
        seconds_of(lambda: predict(WEIGHTS, FEATURES)) for _ in range(1000)
    )
    with ExitStack() as stack:
        ports = {"flwr_registry": stack.enter_context(our_server())}
        if chosen.mlserver_python:
            ports["mlserver"] = stack.enter_context(mlserver(chosen.mlserver_python))
        rows = []
        for connections in (1, 32):
            measured: dict[str, list[tuple[float, float, float]]] = {}
            for turn in range(TURNS + 1):
                for name, port in ports.items():
                    found = asked(port, connections, REQUESTS // (1 if turn else 6))
                    if turn:
                        measured.setdefault(name, []).append(found)
            medians = {
                name: [statistics.median(each) for each in zip(*found, strict=True)]
                for name, found in measured.items()
            }
            peer = medians.get("mlserver")
            rows += [
                [
                    name,
                    str(connections),
                    f"{rate:.0f} /s",
                    f"{1000 * middle:.2f} ms",
                    f"{1000 * late:.2f} ms",
                    f"{rate / peer[0]:.2f}" if peer else "-",
                ]
                for name, (rate, middle, late) in medians.items()
            ]
    header = ["", "connections", "rate", "p50", "p99", "rate ÷ mlserver"]
    show_table(
        f"serving; the function itself takes {1e6 * direct:.0f} µs", header, rows
    )


if __name__ == "__main__":
    main()
