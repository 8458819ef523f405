"""The random generators that training draws from, out and in again.

Python's decides which nodes a strategy samples, numpy's global one the noise of
differential privacy.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from flwr_registry.errors import CheckpointError

__all__ = ["capture_random_state", "restore_random_state"]


def capture_random_state() -> dict[str, Any]:
    """Take the state of python's and numpy's global generators, as JSON can hold it."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `capture_random_state` gave.

    Raises
    ------
    CheckpointError
        When it is no such state, or that of another generator; nothing changed then.
    """
    before = random.getstate(), np.random.get_state()
    try:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        name, keys, position, has_gauss, cached = state["numpy"]
        words_of_numpy = np.array(keys, dtype=np.uint32)
        np.random.set_state((name, words_of_numpy, position, has_gauss, cached))
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        random.setstate(before[0])
        np.random.set_state(before[1])
        raise CheckpointError(
            "the checkpoint's random state does not fit this python or numpy"
        ) from error
