"""What drives a strategy of the legacy API, which its hooks are not told.

When Flower drops that API, this file goes with it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.common import Scalar
from flwr.server import History, LegacyContext, Server

from flwr_registry.strategy.hooks.caller_locals import locals_of

__all__ = ["LegacyServer", "find_legacy_server"]


@dataclass(frozen=True, slots=True)
class LegacyServer:
    """A server or workflow under way, as far as it can be seen.

    Attributes
    ----------
    num_rounds : int or None
        How many rounds it was asked for.
    history : History or None
        Where it notes what was measured.
    is_workflow : bool
        It notes nothing of a round without a model.
    """

    num_rounds: int | None = None
    history: History | None = None
    is_workflow: bool = False

    def note_training(
        self, server_round: int, metrics: Mapping[str, Scalar], *, gave_model: bool
    ) -> bool:
        """Note a round's training metrics, as it would have from an aggregate.

        Returns
        -------
        bool
            False when its history is not known.
        """
        if self.history is None:
            return False
        if gave_model or not self.is_workflow:
            self.history.add_metrics_distributed_fit(server_round, dict(metrics))
        return True


def find_legacy_server() -> LegacyServer:
    """Look at who called the hook that calls this.

    ``Server.fit`` has its number of rounds and its history as local variables, a
    workflow a `LegacyContext`; nothing else tells of them. Of a driver of any other
    kind nothing is known.
    """
    frame = sys._getframe(1).f_back
    while frame is not None:
        with locals_of(frame) as variables:
            found = _read(variables)
        if found is not None:
            return found
        frame = frame.f_back
    return LegacyServer()


def _read(names: Mapping[str, Any]) -> LegacyServer | None:
    for value in list(names.values()):
        if isinstance(value, LegacyContext):
            asked = value.config.num_rounds
            return LegacyServer(asked, value.history, is_workflow=True)
    rounds, history = names.get("num_rounds"), names.get("history")
    is_server = isinstance(names.get("self"), Server)
    if is_server and isinstance(rounds, int) and not isinstance(rounds, bool):
        return LegacyServer(rounds, history if isinstance(history, History) else None)
    return None
