"""The line that every node fits to its own points."""

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


def initial_weights() -> Weights:
    """Return the model that the first round starts from."""
    return {
        "line.weight": np.zeros((1, 4), np.float32),
        "line.bias": np.zeros(1, np.float32),
    }


def points(
    partition: int, count: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the inputs and targets of one node; its number seeds them."""
    generator = np.random.default_rng(partition)
    inputs = generator.normal(size=(count, 4)).astype(np.float32)
    targets = inputs @ np.array([1.0, -2.0, 0.5, 3.0], np.float32) + np.float32(
        partition
    )
    return inputs, targets[:, None]


def loss(weights: Weights, partition: int) -> float:
    """Return the mean squared error on the points of one node."""
    inputs, targets = points(partition)
    predicted = inputs @ weights["line.weight"].T + weights["line.bias"]
    return float(np.mean((predicted - targets) ** 2))


def descend(weights: Weights, partition: int, steps: int = 5) -> Weights:
    """Return the weights after some steps of gradient descent."""
    inputs, targets = points(partition)
    weight, bias = weights["line.weight"].copy(), weights["line.bias"].copy()
    for _ in range(steps):
        residual = inputs @ weight.T + bias - targets
        weight -= np.float32(0.1) * (residual.T @ inputs) / len(inputs)
        bias -= np.float32(0.1) * residual.mean(axis=0)
    return {"line.weight": weight, "line.bias": bias}
