"""Noticing models that do not come through the strategy that is recorded."""

from __future__ import annotations

from flwr_registry.strategy.round_log import log_unseen_model, log_unseen_run
from flwr_registry.strategy.round_progress import RoundProgress

__all__ = ["UnseenModels"]


class UnseenModels:
    """Says once a run that a server aggregates past the strategy's hook.

    Parameters
    ----------
    hook : str
        What a model comes through.

    Attributes
    ----------
    has_begun_a_round : bool
        A hook that trains was called.
    """

    def __init__(self, hook: str) -> None:
        self._hook = hook
        self._is_told = False
        self.has_begun_a_round = False

    def notice(
        self, current: RoundProgress, server_round: int, *, has_changed: bool | None
    ) -> bool:
        """Tell whether a round turns out to have a model that was not seen.

        Parameters
        ----------
        current : RoundProgress
            The round under way; it is noted there.
        server_round : int
            The round that is evaluated or over.
        has_changed : bool or None
            The model that is evaluated is another than the last one seen; None for a
            round that is over.
        """
        if server_round < 1 or current.is_aggregated or current.lacks_model:
            return False
        current.lacks_model = current.was_sent if has_changed is None else has_changed
        if current.lacks_model and not self._is_told:
            self._is_told = True
            log_unseen_model(server_round, self._hook)
        return current.lacks_model

    def notice_run(self) -> None:
        """Say that no hook of the strategy is called."""
        if not self._is_told:
            self._is_told = True
            log_unseen_run(self._hook)
