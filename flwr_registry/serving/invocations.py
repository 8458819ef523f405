"""Requests and answers in the words of MLflow's scoring server.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally (``/invocations``)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flwr_registry.errors import InvalidInputError
from flwr_registry.records import ModelVersion
from flwr_registry.serving.infer_messages import version_facts
from flwr_registry.serving.input_schema import InputSchema, NamedArrays, named_inputs
from flwr_registry.serving.json_messages import (
    MessageLimits,
    array_text,
    json_object,
)

__all__ = ["invocations_answer", "read_invocations"]

_DEFAULT_LIMITS = MessageLimits()
_KEYS = ("inputs", "instances", "dataframe_split", "dataframe_records")


def read_invocations(
    body: bytes,
    schema: InputSchema | None,
    limits: MessageLimits = _DEFAULT_LIMITS,
) -> NamedArrays:
    """Read the inputs of a request.

    Parameters
    ----------
    body : bytes
        A JSON object with one of ``inputs`` (rows, or columns by name), ``instances``
        (rows), ``dataframe_split`` and ``dataframe_records`` (a table of numbers, its
        columns in the model's order).

    Raises
    ------
    InvalidInputError
        For anything else.
    TooLongError
        For more than the limits allow.
    """
    document = json_object(body, limits.max_values)
    given = [key for key in _KEYS if key in document]
    if len(given) != 1:
        raise InvalidInputError(f"the request has one of {', '.join(_KEYS)}")
    inputs = named_inputs(_values(given[0], document[given[0]]), schema)
    limits.check_rows(inputs)
    return inputs


def invocations_answer(
    version: ModelVersion,
    outputs: NamedArrays,
    limits: MessageLimits = _DEFAULT_LIMITS,
) -> bytes:
    """Write the outputs as nested lists, and the version that made them.

    Raises
    ------
    InvalidInputError
        For an output that JSON cannot hold.
    TooLongError
        For more than the limits allow.
    """
    limits.check_arrays(outputs)
    lists = {name: array_text(name, each) for name, each in outputs.items()}
    named = ",".join(f"{json.dumps(name)}:{text}" for name, text in lists.items())
    predictions = next(iter(lists.values())) if len(lists) == 1 else f"{{{named}}}"
    facts = json.dumps(version_facts(version), separators=(",", ":"))
    answer = f'{{"predictions":{predictions},{facts[1:]}'.encode()
    limits.check_answer(len(answer))
    return answer


def _values(key: str, given: Any) -> Any:
    if key == "dataframe_split":
        if not isinstance(given, Mapping) or "data" not in given:
            raise InvalidInputError("dataframe_split has columns and data")
        return given["data"]
    if key == "dataframe_records":
        sound = isinstance(given, list) and all(isinstance(row, dict) for row in given)
        if not sound or any(row.keys() != given[0].keys() for row in given):
            raise InvalidInputError("dataframe_records are objects with the same keys")
        return [[row[name] for name in given[0]] for row in given]
    if isinstance(given, str):
        raise InvalidInputError(f"{key} are numbers, not text")
    return given
