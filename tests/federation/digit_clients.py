"""Nodes that really learn: scikit-learn's digits, a softmax regression, local SGD."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, MetricRecord
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from federation.clients import Answer, Arrays
from federation.in_process_grid import to_arrays

__all__ = ["DIGIT_NODES", "DigitClients", "digits_model", "measure_digits"]

DIGIT_NODES = (1, 2, 3, 4)

_HELD_OUT_EVERY = 5
_LEARNING_RATE = 0.2
_BATCH = 32


def digits_model() -> Arrays:
    """Return a model that knows nothing."""
    return {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}


@cache
def _digits() -> tuple[NDArray[Any], NDArray[Any]]:
    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype(np.float32), labels


@dataclass(frozen=True)
class DigitClients:
    """Four nodes with a share of the digits each.

    Attributes
    ----------
    seed : int
        Of everything random.
    bad_node, bad_from_round : int
        A node whose labels are shuffled from a round on; 0 for none.
    """

    seed: int = 0
    bad_node: int = 0
    bad_from_round: int = 0

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Learn for one epoch."""
        random = np.random.default_rng([self.seed, node_id, server_round])
        images, labels = self._share(node_id, held_out=False)
        if node_id == self.bad_node and server_round >= self.bad_from_round:
            labels = random.permutation(labels)
        weight, bias = arrays["weight"].copy(), arrays["bias"].copy()
        for batch in np.array_split(
            random.permutation(len(labels)), len(labels) // _BATCH
        ):
            errors = _probabilities(images[batch], weight, bias)
            errors[np.arange(len(batch)), labels[batch]] -= 1
            step = _LEARNING_RATE / len(batch)
            weight -= step * images[batch].T @ errors
            bias -= step * errors.sum(0)
        model = {"weight": weight, "bias": bias}
        return Answer(len(labels), _measured(images, labels, model, "train_"), model)

    def evaluate(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Measure on what the node holds back."""
        images, labels = self._share(node_id, held_out=True)
        return Answer(len(labels), _measured(images, labels, arrays, "eval_"))

    def _share(
        self, node_id: int, *, held_out: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        images, labels = _digits()
        order = np.random.default_rng(self.seed).permutation(len(labels))
        own = order[node_id - 1 :: len(DIGIT_NODES)]
        is_held_out = np.arange(len(own)) % _HELD_OUT_EVERY == 0
        chosen = own[is_held_out if held_out else ~is_held_out]
        return images[chosen], labels[chosen]


def measure_digits(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """Measure centrally, on all digits."""
    return MetricRecord(_measured(*_digits(), to_arrays(arrays), ""))


def _measured(
    images: NDArray[Any], labels: NDArray[Any], model: Arrays, prefix: str
) -> dict[str, float | int]:
    made = _probabilities(images, model["weight"], model["bias"])
    right = made[np.arange(len(labels)), labels]
    return {
        f"{prefix}loss": float(-np.log(np.maximum(right, 1e-9)).mean()),
        f"{prefix}accuracy": float((made.argmax(1) == labels).mean()),
    }


def _probabilities(
    images: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]
) -> NDArray[Any]:
    scores = images @ weight + bias
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(scores / scores.sum(1, keepdims=True))
