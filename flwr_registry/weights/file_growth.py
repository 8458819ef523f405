"""How many bytes a file may make: no more than those that it has allow."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flwr_registry.errors import WeightsFormatError

__all__ = ["check_growth", "is_possible_shape", "most_bytes_of"]

_MAX_GROWTH = 16
_ALWAYS_ALLOWED_BYTES = 1024 * 1024
_MAX_DIMENSIONS = 32
_MAX_ADDRESSED_BYTES = 2**63 - 1


def most_bytes_of(file_bytes: int) -> int:
    """Return how many bytes of arrays a file of some length may make.

    Packed archives and tensors that share memory hold more than their files are long;
    16 times as much is more than any model does, and a small file may make 1 MiB.
    """
    return max(_ALWAYS_ALLOWED_BYTES, _MAX_GROWTH * file_bytes)


def check_growth(made_bytes: int, file_bytes: int) -> None:
    """See that arrays are not out of proportion to their file, before they are made.

    Raises
    ------
    WeightsFormatError
        When they are; the message says how to save them otherwise.
    """
    if made_bytes > most_bytes_of(file_bytes):
        raise WeightsFormatError(
            f"its {file_bytes:,} bytes would become {made_bytes:,}, more than "
            f"{_MAX_GROWTH} times as many: if it is sound, save it unpacked, and each "
            "tensor as its own (.clone()), for example as safetensors"
        )


def is_possible_shape(shape: Any, item_bytes: int) -> bool:
    """Tell whether an array may have a shape: also one without any element.

    Parameters
    ----------
    shape : object
        As a file says it.
    item_bytes : int
        Of one element.
    """
    if not isinstance(shape, Sequence) or len(shape) > _MAX_DIMENSIONS:
        return False
    if not all(type(length) is int and length >= 0 for length in shape):
        return False
    needed: int = max(1, item_bytes) * prod(n for n in shape if n)
    return needed <= _MAX_ADDRESSED_BYTES
