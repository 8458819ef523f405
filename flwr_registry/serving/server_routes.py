"""The routes of a server, and what each of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

import flwr_registry
from flwr_registry.errors import InvalidInputError, PredictionError
from flwr_registry.serving.access import Access
from flwr_registry.serving.api_description import (
    ERRORS,
    INFER_REQUEST,
    INVOCATIONS_REQUEST,
)
from flwr_registry.serving.infer_messages import (
    JSON_LENGTH_HEADER,
    infer_answer,
    read_infer_request,
    version_facts,
)
from flwr_registry.serving.input_schema import NamedArrays
from flwr_registry.serving.invocations import invocations_answer, read_invocations
from flwr_registry.serving.json_messages import TooLongError
from flwr_registry.serving.micro_batcher import NotServingError, QueueFullError
from flwr_registry.serving.request_bodies import (
    OpenBodies,
    json_length_of,
    require_content_type,
)
from flwr_registry.serving.request_counter import CLIENT_GONE, RequestCounter
from flwr_registry.serving.served_model import ServedModel
from flwr_registry.shown_text import OneLineLogger

__all__ = ["make_app"]

_LOGGER = OneLineLogger("flwr_registry")

# Handing over to a thread takes longer than reading so little.
_MAX_PROMPT_BYTES = 64 * 1024

_Arguments = ParamSpec("_Arguments")
_Made = TypeVar("_Made")


def make_app(model: ServedModel) -> FastAPI:
    """Return the application of a server."""
    app = FastAPI(
        title="flwr_registry",
        version=flwr_registry.__version__,
        lifespan=lambda _: model.alive(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    access = Access(model.options)
    guarded = access.dependencies
    app.include_router(_health_routes(model, access))
    app.include_router(_model_routes(model), dependencies=guarded)
    app.include_router(_prediction_routes(model), dependencies=guarded)

    @app.get("/openapi.json", include_in_schema=False, dependencies=guarded)
    async def description() -> dict[str, Any]:
        return app.openapi()

    app.exception_handler(AnyHTTPException)(_refused)
    app.exception_handler(PredictionError)(_not_predicted)
    app.exception_handler(Exception)(_failed)
    app.exception_handler(TimeoutError)(_too_late)
    app.exception_handler(ClientDisconnect)(_gone)
    app.add_middleware(RequestCounter, metrics=model.metrics)
    return app


def _health_routes(model: ServedModel, access: Access) -> APIRouter:
    """Return what probes ask, which show no token and are told no details."""
    routes = APIRouter()

    @routes.get("/v2/health/live")
    @routes.get("/ping", include_in_schema=False)
    async def live() -> dict[str, bool]:
        """Tell that the process answers."""
        return {"live": True}

    @routes.get("/v2/health/ready", responses={503: ERRORS[503]})
    async def ready(request: Request, response: Response) -> dict[str, Any]:
        """Tell whether predictions are made, and by the version that should."""
        problem, current = model.follower.problem, model.follower.current
        response.status_code = 503 if current is None else 200
        state = "degraded" if problem else "ready"
        answer = {"ready": current is not None, "state": state}
        if not await access.allows(request):
            return answer
        served = {} if current is None else version_facts(current.version)
        return answer | served | ({"error": problem} if problem else {})

    return routes


def _model_routes(model: ServedModel) -> APIRouter:
    """Return what is told about the server and its model."""
    routes = APIRouter()

    @routes.get("/v2")
    async def about_server() -> dict[str, Any]:
        """Name the server."""
        return {
            "name": "flwr_registry",
            "version": flwr_registry.__version__,
            "extensions": ["binary_tensor_data"],
        }

    @routes.get("/v2/models/{name}", responses=ERRORS)
    @routes.get("/v2/models/{name}/versions/{version}", responses=ERRORS)
    async def about_model(name: str, version: str | None = None) -> dict[str, Any]:
        """Describe the version that is served, and its inputs."""
        current = model.served(name, version)
        schema = current.schema
        return {
            "name": model.name,
            "versions": [current.version.version],
            "platform": current.version.metadata.framework,
            "inputs": schema.to_json() if schema else [],
            "outputs": [],
            "parameters": {"digest": current.version.checksum},
        }

    @routes.get("/v2/models/{name}/ready", responses=ERRORS)
    @routes.get("/v2/models/{name}/versions/{version}/ready", responses=ERRORS)
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        """Tell whether a version is served."""
        current = model.served(name, version)
        return {"ready": True, **version_facts(current.version)}

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Give counters to Prometheus."""
        return Response(model.exposed_metrics(), media_type="text/plain; version=0.0.4")

    return routes


def _prediction_routes(model: ServedModel) -> APIRouter:
    """Return what predicts."""
    kinds = [Depends(require_content_type)]
    routes = APIRouter(dependencies=kinds, responses=ERRORS)
    bodies = OpenBodies(model.options)
    limits = model.options.message_limits
    timeout_seconds = model.options.timeout_seconds

    @routes.post("/v2/models/{name}/infer", openapi_extra=INFER_REQUEST)
    @routes.post(
        "/v2/models/{name}/versions/{version}/infer", openapi_extra=INFER_REQUEST
    )
    async def infer(
        request: Request, name: str, version: str | None = None
    ) -> Response:
        """Predict."""
        model.served(name, version)
        length = json_length_of(request, JSON_LENGTH_HEADER)
        async with bodies.of(request) as body, asyncio.timeout(timeout_seconds):
            asked = await _aside(len(body), read_infer_request, body, length, limits)
            made = await model.predict(asked.inputs, version)
            answered_by, outputs = made.predictor.version, made.outputs
            content, headers = await _aside(
                _size_bytes(outputs), infer_answer, asked, answered_by, outputs, limits
            )
        return Response(content, headers=headers)

    @routes.post("/invocations", openapi_extra=INVOCATIONS_REQUEST)
    async def invocations(request: Request) -> Response:
        """Predict, in the words of MLflow."""
        schema = model.served(model.name, None).schema
        async with bodies.of(request) as body, asyncio.timeout(timeout_seconds):
            inputs = await _aside(len(body), read_invocations, body, schema, limits)
            made = await model.predict(inputs, None)
            answered_by, outputs = made.predictor.version, made.outputs
            content = await _aside(
                _size_bytes(outputs), invocations_answer, answered_by, outputs, limits
            )
        return Response(content, media_type="application/json")

    return routes


async def _aside(
    size_bytes: int,
    function: Callable[_Arguments, _Made],
    *arguments: _Arguments.args,
    **named: _Arguments.kwargs,
) -> _Made:
    """Call a function, in a thread if it has to do with more than a few bytes."""
    if size_bytes <= _MAX_PROMPT_BYTES:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


def _size_bytes(outputs: NamedArrays) -> int:
    return sum(each.nbytes for each in outputs.values())


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    return _error(error.status_code, str(error.detail), error.headers)


async def _not_predicted(_: Request, error: Exception) -> Response:
    match error:
        case TooLongError():
            return _error(413, str(error))
        case InvalidInputError():
            return _error(400, str(error))
        case QueueFullError():
            return _error(503, str(error), {"Retry-After": "1"})
        case NotServingError():
            return _error(503, str(error), {"Retry-After": "5"})
    # What a model says of itself may name paths and data of the server.
    _LOGGER.warning("registry: %s", error)
    return _error(422, "the model cannot predict for these inputs; the log says why")


async def _gone(_: Request, _error_: Exception) -> Response:
    # Nobody reads this; it is counted.
    return _error(CLIENT_GONE, "the client went away")


async def _too_late(_: Request, _error_: Exception) -> Response:
    return _error(504, "the prediction took too long")


async def _failed(_: Request, error: Exception) -> Response:
    _LOGGER.error("registry: a request failed", exc_info=error)
    return _error(500, "the server failed; its log says why")


def _error(status: int, text: str, headers: Any = None) -> Response:
    return JSONResponse({"error": text}, status, headers)
