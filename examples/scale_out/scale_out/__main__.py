"""Register two versions, serve them by Ray Serve, and score a large set by Ray Data."""

import argparse
import asyncio
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import ray
import torch
from ray import serve

from flwr_registry import ModelRegistry, described_model
from flwr_registry.records import VersionMetadata
from scale_out.batches import predict_all
from scale_out.network import FEATURES, Net
from scale_out.serving import application

Places = tuple[str, str]

MODEL = "scores"
ROWS_OF_REQUEST = 64
CONNECTIONS = 8
BODY = json.dumps({"inputs": np.ones((ROWS_OF_REQUEST, FEATURES)).tolist()})


def register_versions(registry: ModelRegistry) -> str:
    """Register two versions, the first in production; return the second's reference."""
    example = np.ones((1, FEATURES), np.float32)
    described = described_model(Net, inputs={"features": example})
    metadata = VersionMetadata(framework="pytorch", model_config=described)
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(registry.register(Net(), model=MODEL, metadata=metadata))
    registry.promote(made[0].reference)
    return made[1].reference


async def asked(address: str, seconds: float) -> tuple[float, set[str]]:
    """Ask over several connections; return requests a second, and who answered."""
    versions: set[str] = set()
    answered = 0
    ends = time.perf_counter() + seconds

    async def ask(client: httpx.AsyncClient) -> None:
        nonlocal answered
        while time.perf_counter() < ends:
            answer = await client.post(address, content=BODY, timeout=60)
            answer.raise_for_status()
            versions.add(answer.json()["model_version"])
            answered += 1

    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(ask(client) for _ in range(CONNECTIONS)))
    return answered / seconds, versions


def _names(versions: set[str]) -> str:
    return ", ".join(sorted(versions))


def running_replicas() -> int:
    """Return how many replicas take requests."""
    deployments = serve.status().applications["default"].deployments
    numbers: Mapping[Any, int] = deployments["Replica"].replica_states
    return numbers.get("RUNNING", 0)


def serve_and_measure(
    registry: ModelRegistry, second: str, places: Places, port: int, seconds: float
) -> None:
    """Serve with one and two replicas, follow a promotion, and scale by demand."""
    first = registry.get(f"{MODEL}@production").reference
    address = f"http://127.0.0.1:{port}/"
    for replicas in (1, 2):
        serve.run(application(first, *places, replicas))
        asyncio.run(asked(address, 1))
        rate, versions = asyncio.run(asked(address, seconds))
        print(f"{replicas} replica(s): {rate:.0f} requests/s by {_names(versions)}")
    registry.promote(second)
    promoted = registry.get(f"{MODEL}@production").reference
    serve.run(application(promoted, *places, 2))
    _, versions = asyncio.run(asked(address, 1))
    print(f"after the promotion: answers by {_names(versions)}")
    serve.delete("default")
    serve.run(application(promoted, *places, None))
    began, before = time.perf_counter(), running_replicas()
    while running_replicas() < 2 and time.perf_counter() - began < 180:
        asyncio.run(asked(address, 1))
    print(f"autoscaling: from {before} to {running_replicas()} replicas under load")


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(prog="scale_out", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rows", type=int, default=200_000, help="of the large set")
    parser.add_argument("--port", type=int, default=8000, help="to serve on")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scale-out-"))
    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Ray counts places, not cores: replicas, scorers and what feeds them all have one.
    ray.init(
        num_cpus=8,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        places = (str(folder / "registry.db"), str(folder / "weights"))
        serve.start(http_options={"host": "127.0.0.1", "port": chosen.port})
        with ModelRegistry(*places) as registry:
            second = register_versions(registry)
            serve_and_measure(registry, second, places, chosen.port, chosen.seconds)
            serve.delete("default")
            wanted = registry.get(f"{MODEL}@production").reference
        began = time.perf_counter()
        count = predict_all(chosen.rows, folder / "scored", wanted, *places)
        seconds = time.perf_counter() - began
        print(f"Ray Data: {count} rows by {wanted}, {count / seconds:.0f} rows/s")
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
