"""What was measured in each round, as the most trusted source measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from flwr_registry.records import MetricSource

__all__ = ["flat_metrics", "number_of", "trusted_metrics"]

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


def number_of(value: Any) -> float | None:
    """Return a number, also in a scalar of numpy, torch or jax; None for none.

    Truth values are none, nor is what no float can hold.
    """
    if not isinstance(value, Real):
        item = getattr(value, "item", None)
        if getattr(value, "ndim", None) != 0 or not callable(item):
            return None
        try:
            value = item()
        except Exception:  # noqa: BLE001
            # Of another library: whatever it raises, it has no value now.
            return None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def trusted_metrics(
    history: Mapping[str, Mapping[int, Any]],
) -> dict[int, dict[str, float]]:
    """Return each round's finite numbers, by round and name."""
    found: dict[int, dict[str, float]] = {}
    for source in _TRUST:
        for server_round, measured in history.get(source.value, {}).items():
            for name, value in flat_metrics(measured).items():
                number = number_of(value)
                if number is not None and math.isfinite(number):
                    found.setdefault(server_round, {})[name] = number
    return found
