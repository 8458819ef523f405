"""A process that ends at a chosen point of a chosen round, as a kill would end it."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr_registry.records import StoredObject
from flwr_registry.storage import Content, LocalStorageBackend

__all__ = ["POINTS", "CrashingStorage", "crash_in_hooks", "run_in_child"]

CRASHED = 9
POINTS = (
    "before aggregate",
    "after aggregate",
    "after bytes",
    "after row",
    "in checkpoint",
    "before marker",
    "after marker",
)
"""In the order of a round; the checkpoint of the round exists after the last alone."""

_HOOKS = {"message": ("aggregate_train", "configure_evaluate")}
_LEGACY_HOOKS = ("aggregate_fit", "configure_evaluate")


class CrashingStorage(LocalStorageBackend):
    """Ends the process when it saves the file of a point in a round."""

    def __init__(self, root: Path, point: str, server_round: int) -> None:
        super().__init__(root)
        self._point = point
        self._round_folder = f"round_{server_round:06d}/"
        self._models_left = server_round

    def save(self, key: str, content: Content) -> StoredObject:
        """Save, unless the process ends before."""
        ends = {"in checkpoint": "manifest.json", "before marker": "COMMITTED"}
        if self._point in ends and key.endswith(self._round_folder + ends[self._point]):
            os._exit(CRASHED)
        stored = super().save(key, content)
        self._models_left -= key.startswith("models/")
        if self._point == "after bytes" and not self._models_left:
            os._exit(CRASHED)
        if self._point == "after marker" and key.endswith(
            f"{self._round_folder}COMMITTED"
        ):
            os._exit(CRASHED)
        return stored


def crash_in_hooks(strategy: Any, api: str, point: str, server_round: int) -> None:
    """End the process in a hook of the strategy, wherever that comes from."""
    aggregate, configure_evaluate = _HOOKS.get(api, _LEGACY_HOOKS)
    own_aggregate = getattr(strategy, aggregate)
    own_configure = getattr(strategy, configure_evaluate)

    def aggregating(current: int, *args: Any) -> Any:
        if point == "before aggregate" and current == server_round:
            os._exit(CRASHED)
        result = own_aggregate(current, *args)
        if point == "after aggregate" and current == server_round:
            os._exit(CRASHED)
        return result

    def configuring(server_round_: int = 0, *args: Any, **named: Any) -> Any:
        current = named.pop("server_round", server_round_)
        if point == "after row" and current == server_round:
            os._exit(CRASHED)
        return own_configure(current, *args, **named)

    object.__setattr__(strategy, aggregate, aggregating)
    object.__setattr__(strategy, configure_evaluate, configuring)


def run_in_child(work: Callable[[], object]) -> int:
    """Run in a forked process; return its exit status, 0 when it was not ended."""
    with warnings.catch_warnings():
        # Its threads are this test's own, and idle.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
