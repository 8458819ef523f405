"""Deterministic nodes: what each answers is a function of node, round and arrays."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from flwr.supercore.differential_privacy import KEY_CLIPPING_NORM, KEY_NORM_BIT
from numpy.typing import NDArray

__all__ = [
    "NODE_IDS",
    "Answer",
    "Arrays",
    "Clients",
    "NumpyClients",
    "XgboostClients",
    "floating_model",
    "model_with_counter",
    "xgboost_model",
]

Arrays = dict[str, NDArray[Any]]

# Flower draws node ids from all unsigned 64-bit numbers: half exceed 2**63.
NODE_IDS = (
    11,
    2**63 + 5,
    7_000_000_000_000_000_001,
    2**64 - 3,
    42,
    13_337_133_713_371_337_133,
    2**31,
)


@dataclass(frozen=True)
class Answer:
    """What a node found in one round."""

    num_examples: int
    metrics: dict[str, float | int]
    arrays: Arrays = field(default_factory=dict)


class Clients(Protocol):
    """All nodes of a federation."""

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return the node's new arrays and training metrics."""

    def evaluate(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return the node's evaluation metrics."""


def floating_model() -> Arrays:
    """Return a small model of float32 and float64 layers."""
    generator = np.random.default_rng(20)
    return {
        "conv.weight": generator.normal(size=(3, 2, 2)).astype(np.float32),
        "norm.weight": generator.normal(size=3),
        "head.weight": generator.normal(size=(2, 3)).astype(np.float32),
        "head.bias": np.zeros(2, np.float32),
    }


def model_with_counter() -> Arrays:
    """Return a model with a BatchNorm layer's integer counter in its midst."""
    layers = floating_model()
    counter = {"norm.num_batches_tracked": np.array(17, np.int64)}
    first = dict(list(layers.items())[:2])
    return first | counter | layers


def xgboost_model(tree_weights: tuple[float, ...] = (0.5,)) -> Arrays:
    """Return a model of XGBoost trees: its JSON text as one array of bytes."""
    text = json.dumps(_booster([_tree(i, w) for i, w in enumerate(tree_weights)]))
    return {"0": np.frombuffer(text.encode(), np.uint8)}


def _tree(tree_id: int, weight: float) -> dict[str, Any]:
    return {
        "id": tree_id,
        "base_weights": [weight],
        "left_children": [-1],
        "right_children": [-1],
        "split_conditions": [weight],
        "split_indices": [0],
        "tree_param": {"num_nodes": "1", "num_feature": "4", "size_leaf_vector": "1"},
    }


def _booster(trees: list[dict[str, Any]]) -> dict[str, Any]:
    model = {
        "gbtree_model_param": {"num_trees": str(len(trees)), "num_parallel_tree": "1"},
        "iteration_indptr": list(range(len(trees) + 1)),
        "trees": trees,
        "tree_info": [0] * len(trees),
    }
    booster = {"model": model, "name": "gbtree"}
    objective = {"name": "binary:logistic"}
    learner = {"gradient_booster": booster, "objective": objective}
    return {"learner": learner, "version": [3, 0, 0]}


def _generator(
    node_id: int, server_round: int, arrays: Mapping[str, NDArray[Any]]
) -> np.random.Generator:
    checksum = 0
    for array in arrays.values():
        checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return np.random.default_rng([node_id, server_round, checksum])


def _num_examples(node_id: int) -> int:
    return 10 + 7 * NODE_IDS.index(node_id)


@dataclass(frozen=True)
class NumpyClients:
    """Nodes that add seeded noise to the arrays they got, and count their rounds.

    Attributes
    ----------
    equal_examples : bool
        Whether all nodes report the same number of examples.
    """

    equal_examples: bool = False

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return the arrays one noisy step on."""
        generator = _generator(node_id, server_round, arrays)
        moved = {name: _moved(array, generator) for name, array in arrays.items()}
        metrics: dict[str, float | int] = {
            "train_loss": float(generator.uniform(0.1, 2.0)),
            "accuracy": float(generator.uniform()),
        }
        if KEY_CLIPPING_NORM in config:
            metrics[KEY_NORM_BIT] = int(generator.integers(2))
        if "dpfedavg_adaptive_clip_enabled" in config:
            metrics["dpfedavg_norm_bit"] = int(generator.integers(2))
        return Answer(self._examples(node_id), metrics, moved)

    def evaluate(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return a seeded loss and accuracy."""
        generator = _generator(node_id, server_round, arrays)
        metrics: dict[str, float | int] = {
            "eval_loss": float(generator.uniform(0.1, 2.0)),
            "eval_acc": float(generator.uniform()),
        }
        return Answer(self._examples(node_id), metrics)

    def _examples(self, node_id: int) -> int:
        return 32 if self.equal_examples else _num_examples(node_id)


def _moved(array: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    if np.issubdtype(array.dtype, np.integer):
        return np.asarray(array + 1, array.dtype)
    noise = 0.1 * generator.standard_normal(array.shape)
    return np.asarray(array + noise, array.dtype)


@dataclass(frozen=True)
class XgboostClients:
    """Nodes that answer with one seeded tree each."""

    def train(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return a model of one tree."""
        generator = _generator(node_id, server_round, arrays)
        model = xgboost_model((float(generator.uniform()),))
        return Answer(_num_examples(node_id), {"train_loss": 0.5}, model)

    def evaluate(
        self, node_id: int, server_round: int, arrays: Arrays, config: Mapping[str, Any]
    ) -> Answer:
        """Return a seeded area under the curve."""
        generator = _generator(node_id, server_round, arrays)
        metrics = {"auc": float(generator.uniform()), "eval_loss": 0.25}
        return Answer(_num_examples(node_id), metrics)
