"""Weights and rounds to register."""

from __future__ import annotations

from typing import Any

import numpy as np

from flwr_registry.records import Contribution, RoundFacts


def weights_of(value: float, size: int = 4) -> dict[str, np.ndarray]:
    """Weights that differ by their values, and by their architecture with the size."""
    return {"layer": np.full(size, value, np.float32)}


def facts_of(server_round: int, *nodes: str, **metrics: Any) -> RoundFacts:
    """A round to which each node gave something."""
    return RoundFacts(server_round, metrics, [Contribution(node) for node in nodes])
