"""Requests and answers of the Open Inference Protocol (version 2): JSON and raw bytes.

https://github.com/kserve/open-inference-protocol (REST), with its extension for binary
tensors, which Triton's clients speak: the JSON comes first, its length is in a header,
and the bytes of the tensors follow in their order. Nothing else is ever read from a
request: no name in it opens anything, and no content is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.errors import InvalidInputError
from flwr_registry.records import ModelVersion
from flwr_registry.serving.input_schema import (
    DATATYPES,
    NamedArrays,
    TensorSchema,
    datatype_of,
)
from flwr_registry.serving.json_messages import (
    MessageLimits,
    array_text,
    json_object,
    whole_number,
)

__all__ = [
    "JSON_LENGTH_HEADER",
    "InferRequest",
    "infer_answer",
    "read_infer_request",
    "version_facts",
]

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"

_TEXT = "BYTES"
_DEFAULT_LIMITS = MessageLimits()
# Of numpy before version 2.
_MAX_AXES = 32
_MAX_LENGTH = 2**63 - 1


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One request for predictions.

    Attributes
    ----------
    id : str
        Handed back; empty for none.
    inputs : mapping of str to numpy.ndarray
        In the order of the request.
    outputs : mapping of str to bool
        Those that are asked for, all when it is empty, and whether as raw bytes.
    raw : bool
        Outputs are raw bytes unless one says otherwise.
    """

    id: str
    inputs: NamedArrays
    outputs: Mapping[str, bool] = field(default_factory=dict)
    raw: bool = False


def read_infer_request(
    body: bytes,
    json_length: int | None = None,
    limits: MessageLimits = _DEFAULT_LIMITS,
) -> InferRequest:
    """Read a request.

    Parameters
    ----------
    json_length : int, optional
        Bytes of the JSON at the beginning; the rest are raw tensors.
    limits : MessageLimits, optional
        How much it may ask for.

    Raises
    ------
    InvalidInputError
        Naming what is wrong.
    TooLongError
        For more than the limits allow.
    """
    if json_length is not None and not 0 <= json_length <= len(body):
        raise InvalidInputError(f"{JSON_LENGTH_HEADER} exceeds the body")
    document = json_object(body[:json_length], limits.max_values)
    raw = memoryview(body)[len(body) if json_length is None else json_length :]
    given = document.get("inputs")
    if not isinstance(given, list) or not given:
        raise InvalidInputError("the request has no list of inputs")
    inputs: dict[str, NDArray[Any]] = {}
    for each in given:
        schema = _tensor_of(each)
        if schema.name in inputs:
            raise InvalidInputError(f"input {schema.name!r} is there twice")
        array, raw = _values_of(each, schema, raw)
        inputs[schema.name] = array
    if raw:
        raise InvalidInputError(f"{len(raw)} bytes follow that belong to no input")
    limits.check_rows(inputs)
    name = document.get("id", "")
    if not isinstance(name, str):
        raise InvalidInputError("the id of the request is no text")
    wants_raw = _parameters(document).get("binary_data_output") is True
    return InferRequest(name, inputs, _asked_outputs(document, wants_raw), wants_raw)


def infer_answer(
    request: InferRequest,
    version: ModelVersion,
    outputs: NamedArrays,
    limits: MessageLimits = _DEFAULT_LIMITS,
) -> tuple[bytes, dict[str, str]]:
    """Write an answer; return its bytes and headers.

    Raises
    ------
    InvalidInputError
        For an output that the model does not have, or that JSON cannot hold.
    TooLongError
        For more than the limits allow.
    """
    chosen = _chosen(request, outputs)
    limits.check_arrays({name: outputs[name] for name in chosen})
    described, raw = [], []
    for name, as_bytes in chosen.items():
        array = outputs[name]
        one: dict[str, Any] = {
            "name": name,
            "datatype": _TEXT if array.dtype.kind in "US" else datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if as_bytes and one["datatype"] != _TEXT:
            content = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            raw.append(content.tobytes())
            one["parameters"] = {"binary_data_size": content.nbytes}
            described.append(_compact(one))
        else:
            data = array_text(name, array.ravel())
            described.append(f'{_compact(one)[:-1]},"data":{data}}}')
    facts = version_facts(version)
    digest = {"digest": facts.pop("digest")}
    identity = {"id": request.id} if request.id else {}
    opening = _compact({**facts, **identity, "parameters": digest})[:-1]
    text = f'{opening},"outputs":[{",".join(described)}]}}'.encode()
    limits.check_answer(len(text) + sum(map(len, raw)))
    if not raw:
        return text, {"Content-Type": "application/json"}
    headers = {
        "Content-Type": "application/octet-stream",
        JSON_LENGTH_HEADER: str(len(text)),
    }
    return b"".join([text, *raw]), headers


def version_facts(version: ModelVersion) -> dict[str, Any]:
    """Return what each answer says about the version that gave it."""
    return {
        "model_name": version.model,
        "model_version": version.version,
        "digest": version.checksum,
    }


def _tensor_of(described: Any) -> TensorSchema:
    match described:
        case {"name": str(name), "datatype": str(datatype), "shape": list(shape)}:
            pass
        case _:
            raise InvalidInputError("each input has a name, a datatype and a shape")
    name = name[:200]
    if datatype not in DATATYPES:
        raise InvalidInputError(
            f"input {name!r} has datatype {datatype[:20]!r}: served are "
            f"{', '.join(DATATYPES)}"
        )
    if len(shape) > _MAX_AXES:
        raise InvalidInputError(f"input {name!r} has an impossible shape")
    for length in shape:
        what = f"the shape of input {name!r} is no list of lengths: one of them"
        whole_number(length, what, _MAX_LENGTH)
    return TensorSchema(name, DATATYPES[datatype], tuple(shape))


def _values_of(
    described: Mapping[str, Any], schema: TensorSchema, raw: memoryview
) -> tuple[NDArray[Any], memoryview]:
    """Return the values of an input, and the bytes that follow them."""
    size = _parameters(described).get("binary_data_size")
    needed = prod(schema.shape)
    if size is None:
        values = _array_of(described.get("data"), schema)
        if values.size != needed:
            raise InvalidInputError(
                f"input {schema.name!r} has {values.size} values, its shape "
                f"{list(schema.shape)} needs {needed}"
            )
    else:
        size = whole_number(size, "binary_data_size", _MAX_LENGTH)
        if size != needed * schema.dtype.itemsize or size > len(raw):
            raise InvalidInputError(
                f"input {schema.name!r} has not the {needed * schema.dtype.itemsize} "
                "bytes that its shape and datatype need"
            )
        values = np.frombuffer(raw[:size], schema.dtype)
        raw = raw[size:]
    try:
        return schema.fit(values.reshape(schema.shape)), raw
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"input {schema.name!r} has an impossible shape"
        ) from error


def _array_of(data: Any, schema: TensorSchema) -> NDArray[Any]:
    try:
        array = np.asarray(data if isinstance(data, list) else None)
        if array.dtype.kind == "f" and schema.dtype == np.uint64:
            # Integers beyond those of int64, which numpy takes for floats.
            exact = np.asarray(data, object)
            if all(type(each) is int for each in exact.flat):
                array = exact.astype(np.uint64)
    except (ValueError, OverflowError):
        array = np.asarray(None)
    if not array.size:
        array = array.astype(schema.dtype)
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"the data of input {schema.name!r} are no numbers")
    return array


def _asked_outputs(document: Mapping[str, Any], wants_raw: bool) -> dict[str, bool]:
    asked = document.get("outputs", [])
    if not isinstance(asked, list):
        raise InvalidInputError("outputs is no list")
    found = {}
    for each in asked:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise InvalidInputError("each output has a name")
        found[each["name"]] = _parameters(each).get("binary_data", wants_raw) is True
    return found


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _chosen(request: InferRequest, outputs: NamedArrays) -> Mapping[str, bool]:
    for name in request.outputs:
        if name not in outputs:
            known = ", ".join(outputs)
            raise InvalidInputError(f"there is no output {name[:200]!r}, but {known}")
    return request.outputs or dict.fromkeys(outputs, request.raw)


def _parameters(described: Mapping[str, Any]) -> Mapping[str, Any]:
    found = described.get("parameters", {})
    if not isinstance(found, dict):
        raise InvalidInputError("parameters is no JSON object")
    return found
