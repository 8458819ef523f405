"""What was measured in each round, as the most trusted source measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flwr_registry.records import MetricSource

__all__ = ["flat_metrics", "trusted_metrics"]

# The least trusted first: what comes later replaces it.
_TRUST = (
    MetricSource.TRAIN_CLIENTAPP,
    MetricSource.EVALUATE_CLIENTAPP,
    MetricSource.EVALUATE_SERVERAPP,
)


def flat_metrics(measured: Any) -> dict[str, Any]:
    """Return metrics as a hook of either API gave them, the legacy loss among them."""
    if isinstance(measured, list):
        loss, metrics = measured
        measured = {**({} if loss is None else {"loss": loss}), **(metrics or {})}
    return {
        str(name): value
        for name, value in (measured or {}).items()
        if not isinstance(value, bytes)
    }


def trusted_metrics(
    history: Mapping[str, Mapping[int, Any]],
) -> dict[int, dict[str, float]]:
    """Return each round's finite numbers, by round and name."""
    found: dict[int, dict[str, float]] = {}
    for source in _TRUST:
        for server_round, measured in history.get(source.value, {}).items():
            for name, value in flat_metrics(measured).items():
                is_number = isinstance(value, int | float)
                if is_number and not isinstance(value, bool) and math.isfinite(value):
                    found.setdefault(server_round, {})[name] = float(value)
    return found
