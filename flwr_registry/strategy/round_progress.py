"""The round under way: when it began, and whom it was sent to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr_registry.records import RoundFacts
from flwr_registry.strategy.aggregate import Aggregate, Buffers
from flwr_registry.strategy.contributions import complete_contributions
from flwr_registry.strategy.run_history import RoundVersion
from flwr_registry.weights import Weights

__all__ = ["RoundProgress"]


@dataclass(slots=True)
class RoundProgress:
    """What is known of a round before it is over.

    Attributes
    ----------
    server_round : int
        Counted from 1; 0 before the first.
    made : RoundVersion or None
        The sound version that its model becomes.
    is_pending : bool
        Something came of it that its end has to follow.
    held : tuple of bytes
        The model that the server has in it.
    trained : Weights or None
        What it trains, if that is not what the round before gave.
    is_aggregated : bool
        The strategy's aggregate was seen, be it None.
    lacks_model : bool
        It has a model, which was not seen.
    """

    server_round: int = 0
    made: RoundVersion | None = None
    is_pending: bool = False
    held: Buffers = ()
    trained: Weights | None = None
    is_aggregated: bool = False
    lacks_model: bool = False
    _chosen: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter)

    def choose(self, node_ids: Iterable[str]) -> None:
        """Note to which nodes the round is sent, once for each message."""
        self._chosen.extend(node_ids)

    @property
    def was_sent(self) -> bool:
        """Whether any node was asked to train."""
        return bool(self._chosen)

    def facts(self, aggregate: Aggregate) -> RoundFacts:
        """Tell what the round did, now that it is aggregated."""
        return RoundFacts(
            server_round=self.server_round,
            train_metrics=aggregate.train_metrics,
            contributions=complete_contributions(
                aggregate.contributions, self._chosen, aggregate.lost_reasons
            ),
            duration_seconds=time.perf_counter() - self._began,
        )
