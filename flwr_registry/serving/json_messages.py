"""JSON of a bounded cost: what is read, and arrays that are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.canonical_json import most_values
from flwr_registry.errors import InvalidInputError
from flwr_registry.serving.input_schema import NamedArrays, datatype_of

__all__ = [
    "MessageLimits",
    "TooLongError",
    "array_text",
    "json_object",
    "whole_number",
]

# Other threads have their turn between two pieces, as they do not within one.
_PIECE_VALUES = 16 * 1024
_LEAST_VALUE_BYTES = 2


class TooLongError(InvalidInputError):
    """A request that is sound, and asks for more than the server gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """What a request may ask for.

    Attributes
    ----------
    max_values : int
        Values in its JSON.
    max_rows : int
        Examples.
    max_answer_bytes : int
        Of its answer.
    """

    max_values: int = 1_000_000
    max_rows: int = 100_000
    max_answer_bytes: int = 64 * 1024 * 1024

    def check_rows(self, inputs: NamedArrays) -> None:
        """Refuse more examples than are taken, and long axes that no value fills.

        Raises
        ------
        TooLongError
            Naming the bound.
        """
        for each in inputs.values():
            if any(length > self.max_rows for length in each.shape[:1]):
                raise TooLongError(
                    f"a request has at most {self.max_rows} examples: send several "
                    "requests"
                )
            # No byte of the request pays for them; what a model makes of them has some.
            if not each.size and any(length > self.max_rows for length in each.shape):
                raise TooLongError(
                    f"an input without values has at most length {self.max_rows} along "
                    "each axis"
                )

    def check_arrays(self, outputs: NamedArrays) -> None:
        """Refuse outputs that no answer can hold, before any of it is written.

        Raises
        ------
        TooLongError
            As `check_answer` does.
        """
        self.check_answer(
            sum(
                each.size * min(_LEAST_VALUE_BYTES, each.dtype.itemsize)
                for each in outputs.values()
            )
        )

    def check_answer(self, size_bytes: int) -> None:
        """Refuse an answer that is longer than answers are.

        Raises
        ------
        TooLongError
            Naming the bound.
        """
        if size_bytes > self.max_answer_bytes:
            raise TooLongError(
                f"the answer is longer than {self.max_answer_bytes} bytes: ask for "
                "fewer examples at once"
            )


def json_object(text: bytes, max_values: int | None = None) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    max_values : int, optional
        How many values it may have; they are counted before any is made.

    Raises
    ------
    InvalidInputError
        For anything else.
    TooLongError
        When it has more values.
    """
    if max_values is not None and most_values(text) > max_values:
        raise TooLongError(
            f"the JSON of a request has at most {max_values} values: send fewer "
            "examples at once, or raw tensors (binary_data_size)"
        )
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("the body is no sound JSON") from error
    if not isinstance(document, dict):
        raise InvalidInputError("the body is no JSON object")
    return document


def whole_number(value: Any, what: str, highest: int) -> int:
    """Return a number of a request that counts something.

    Raises
    ------
    InvalidInputError
        When it is no integer from 0 to `highest`.
    """
    # JSON's true and 16.0 are numbers to Python's comparisons.
    if type(value) is not int or not 0 <= value <= highest:
        raise InvalidInputError(f"{what} is no whole number from 0 to {highest}")
    return value


def array_text(name: str, array: NDArray[Any]) -> str:
    """Write an output as nested lists.

    Raises
    ------
    InvalidInputError
        When it has values that are no JSON.
    """
    if array.dtype.kind not in "US":
        datatype_of(array.dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInputError(
            f"output {name!r} has values that are NaN or infinite, which JSON cannot "
            "hold: ask for it as binary data"
        )
    if array.dtype.kind == "S":
        # Whatever the bytes are, each has a character.
        array = np.char.decode(array, "latin-1")
    if not array.ndim:
        return json.dumps(array.item())
    row_values = array.size // max(1, len(array))
    rows = max(1, _PIECE_VALUES // max(1, row_values))
    pieces = (
        json.dumps(array[start : start + rows].tolist(), separators=(",", ":"))[1:-1]
        for start in range(0, len(array), rows)
    )
    return f"[{','.join(pieces)}]"


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
