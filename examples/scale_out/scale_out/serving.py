"""The model behind Ray Serve: as many replicas as are asked for, or as are needed."""

import asyncio
from typing import Any

import torch
from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flwr_registry import ModelRegistry, Predictor
from flwr_registry.errors import InvalidInputError, RegistryError

MAX_ONGOING = 8
MAX_QUEUED = 200


class Replica:
    """One process with the model.

    Parameters
    ----------
    registry, storage : str
        Database and storage, as `Predictor` takes them. Every machine reaches both.
    """

    def __init__(self, registry: str, storage: str) -> None:
        self._registry, self._storage = registry, storage
        # Replicas share the machine's cores; each predicts on one.
        torch.set_num_threads(1)

    def reconfigure(self, config: dict[str, str]) -> None:
        """Load another version beside the present one, and swap them.

        Ray Serve calls it in every replica, new ones included, with `user_config`.
        """
        self._predictor = Predictor(
            config["reference"], registry=self._registry, storage=self._storage
        )

    def check_health(self) -> None:
        """Ask whether the version may still be used; Ray Serve does so by and by.

        Ray ends a replica that raises, and starts another, which is refused the version
        too. A registry that does not answer ends none.
        """
        try:
            with ModelRegistry(self._registry, self._storage) as registry:
                version = registry.get(self._predictor.version.reference)
        except RegistryError:
            return
        if version.withdrawn:
            raise RuntimeError(f"{version.reference} is withdrawn: serve another one")

    async def __call__(self, request: Request) -> Response:
        """Predict for the rows of a request."""
        predictor = self._predictor
        try:
            inputs = (await request.json())["inputs"]
            scores = await asyncio.to_thread(predictor.predict, inputs)
        except (InvalidInputError, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"no inputs for this model: {error}"}, 400)
        version = predictor.version
        return JSONResponse(
            {
                "predictions": scores.tolist(),
                "model_name": version.model,
                "model_version": version.version,
                "digest": version.checksum,
            }
        )


def application(
    reference: str, registry: str, storage: str, replicas: int | None
) -> Application:
    """Describe what is to be served.

    Parameters
    ----------
    reference : str
        A single version, so that all replicas serve the same.
    replicas : int or None
        How many; None for 1 to 2, by how many requests wait.
    """
    number: dict[str, Any] = {"num_replicas": replicas}
    if replicas is None:
        number = {
            "num_replicas": "auto",
            "autoscaling_config": {
                "min_replicas": 1,
                "max_replicas": 2,
                "target_ongoing_requests": 2,
                "upscale_delay_s": 1,
            },
        }
    deployed = serve.deployment(
        user_config={"reference": reference},
        max_ongoing_requests=MAX_ONGOING,
        max_queued_requests=MAX_QUEUED,
        **number,
    )(Replica)
    return deployed.bind(registry, storage)
