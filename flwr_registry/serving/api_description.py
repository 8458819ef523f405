"""What the OpenAPI description says of requests and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr_registry.serving.input_schema import DATATYPES

__all__ = ["ERRORS", "INFER_REQUEST", "INVOCATIONS_REQUEST"]

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_MEANINGS = {
    400: "The request makes no sense.",
    401: "The token is missing or wrong.",
    404: "Another model or version is served.",
    408: "The request did not arrive in time.",
    413: "The request, or its answer, is too long.",
    415: "The content is neither JSON nor raw tensors.",
    421: "The server is called by a foreign name.",
    422: "The model cannot predict for these inputs.",
    503: "Nothing is served, or too much waits: Retry-After says for how long.",
    504: "The prediction took too long.",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        "content": {"application/json": {"schema": _ERROR_SCHEMA}},
    }
    for status, meaning in _MEANINGS.items()
}
"""Every error that a route answers with, by its status."""

_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape", "data"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string", "enum": list(DATATYPES)},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


INFER_REQUEST = _body(
    {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": _TENSOR},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}},
                },
            },
        },
    }
)

INVOCATIONS_REQUEST = _body(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "inputs": {},
            "instances": {"type": "array"},
            "dataframe_split": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "columns": {"type": "array"},
                    "data": {"type": "array"},
                },
            },
            "dataframe_records": {"type": "array", "items": {"type": "object"}},
        },
    }
)
