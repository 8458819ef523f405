"""The arrays of a state, each under a name, each held once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.strategy.state.plain_state import may_change
from flwr_registry.strategy.state.torch_forms import array_of, memory_of

__all__ = ["StateArrays"]


class StateArrays:
    """Collects arrays that stand still.

    Whoever holds an array is kept while they are collected, so that no other object
    gets its identity in between.

    Parameters
    ----------
    copies : bool
        False collects nothing: what is asked is only what the state consists of.

    Attributes
    ----------
    found : dict of str to numpy.ndarray
        What was collected.
    """

    def __init__(self, *, copies: bool) -> None:
        self.found: dict[str, NDArray[Any]] = {}
        self._copies = copies
        self._names: dict[Hashable, tuple[str, Any]] = {}

    def name_of(self, array: NDArray[Any], owner: object, *, rebinds: bool) -> str:
        """Return the name of an array, and take it when it is new.

        Parameters
        ----------
        owner : object
            Whose array it is; two arrays of one owner are the same.
        rebinds : bool
            As for `may_change`.
        """
        known = self._names.get(id(owner))
        if known is not None:
            return known[0]
        if self._copies and may_change(array, rebinds=rebinds):
            array = array.copy(order="K")
        return self._take(id(owner), array, owner)

    def name_of_tensor(self, tensor: Any) -> str | None:
        """Return the name of a torch tensor's values; None for one without plain form.

        Parameters that are tied lie in one array.
        """
        memory = memory_of(tensor)
        known = self._names.get(memory)
        if known is not None:
            return known[0]
        array = array_of(tensor) if self._copies else np.empty(0)
        return None if array is None else self._take(memory, array, tensor)

    def mark(self) -> int:
        """Return a mark for `forget_after`."""
        return len(self._names)

    def forget_after(self, mark: int) -> None:
        """Let go of what was collected since a mark."""
        for key in list(self._names)[mark:]:
            self.found.pop(self._names.pop(key)[0], None)

    def _take(self, key: Hashable, array: NDArray[Any], owner: object) -> str:
        name = f"a{len(self._names)}"
        self._names[key] = name, owner
        self.found[name] = array
        return name
