"""Whether a decision tree of XGBoost can be walked without leaving its arrays.

XGBoost trusts the indices in a model file: one that is out of bounds is an access to
foreign memory, and so is a part that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "count_in",
    "highest_feature",
    "integers",
    "leaf_size",
    "missing_parts",
    "numbers",
    "part_of",
    "tree_errors",
]

_NO_NODE = -1
_DELETED = 2**31 - 1
"""The split index of a node that pruning removed; also the parent of the root."""

_OF_EACH_NODE = (
    "right_children",
    "parents",
    "split_indices",
    "split_conditions",
    "default_left",
    "split_type",
    "sum_hessian",
    "loss_changes",
)
_ARRAYS = ("left_children", *_OF_EACH_NODE, "base_weights", "leaf_weights")
_NEEDED = (*_OF_EACH_NODE[:5], *_OF_EACH_NODE[6:], "base_weights", "tree_param")

_MAX_CATEGORY = 2**24
_MAX_CATEGORY_BYTES = 64 * 1024 * 1024


def missing_parts(tree: Mapping[str, Any]) -> Iterator[str]:
    """Find parts of a tree that XGBoost reads without asking whether they are there."""
    for name in _NEEDED:
        if name not in tree:
            yield f"{name} is missing"


def tree_errors(tree: Mapping[str, Any], num_feature: int | None) -> Iterator[str]:
    """Find what makes a tree unsafe or senseless to walk.

    Parameters
    ----------
    tree : mapping
        As XGBoost describes it in JSON.
    num_feature : int or None
        How many features the model has; None takes the tree's own word.

    Raises
    ------
    ValueError
        For a part that is of another kind, after which nothing can be said.
    """
    parameters = part_of(tree, "tree_param")
    tree = _with_arrays(tree)
    left = integers(tree.get("left_children", ()), "left_children")
    sizes = list(_size_errors(tree, parameters, len(left)))
    yield from sizes
    if sizes:
        return
    right = integers(tree["right_children"], "right_children")
    links = list(_link_errors(tree, parameters, left, right))
    yield from links
    if links:
        return
    found = count_in(parameters, "num_feature")
    limit = num_feature if num_feature is not None else found
    yield from _split_errors(tree, left, limit)
    yield from _category_errors(tree, left)


def _with_arrays(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Turn lists into arrays once, which costs more than all that is asked of them."""
    arrays = {
        name: _vector(tree[name], name, "fiub") for name in _ARRAYS if name in tree
    }
    return {**tree, **arrays}


def integers(value: Any, name: str) -> NDArray[np.int64]:
    """Return a part that holds whole numbers.

    Raises
    ------
    ValueError
        When it holds anything else, or numbers that no index has.
    """
    array = _vector(value, name, "iub")
    # Sums of two such numbers cannot overflow.
    if array.size and (array.max() > _DELETED or array.min() < -_DELETED):
        raise ValueError(f"{name} has a number beyond {_DELETED}, which is no index")
    return array.astype(np.int64)


def numbers(value: Any, name: str) -> NDArray[np.float32]:
    """Return a part that holds numbers, as XGBoost stores them.

    Raises
    ------
    ValueError
        When it holds anything else.
    """
    array = _vector(value, name, "fiu")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def count_in(parameters: Mapping[str, Any], name: str) -> int | None:
    """Return a count, which XGBoost writes as text; None where it is missing.

    Raises
    ------
    ValueError
        When it is no count.
    """
    text = parameters.get(name)
    if text is None:
        return None
    if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
        raise ValueError(f"{name} is {str(text)[:40]!r}, which is no count")
    if len(text) > 10:
        raise ValueError(f"{name} is {text[:40]}, which is too large")
    return int(text)


def part_of(described: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part that is an object, empty where it is missing.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    part = described.get(name, {})
    if not isinstance(part, dict):
        raise ValueError(f"{name} is no object")
    return part


def _vector(value: Any, name: str, kinds: str) -> NDArray[Any]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"{name} is no list")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} is no list of numbers") from error
    if not array.size and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in kinds:
        wanted = "whole numbers" if "f" not in kinds else "numbers"
        raise ValueError(f"{name} is no list of {wanted}")
    return array


def _size_errors(
    tree: Mapping[str, Any], parameters: Mapping[str, Any], num_nodes: int
) -> Iterator[str]:
    if not num_nodes:
        yield "it has no node"
        return
    told = count_in(parameters, "num_nodes")
    if told not in (None, num_nodes):
        yield f"num_nodes is {told}, but left_children has {num_nodes} values"
    wanted = dict.fromkeys(_OF_EACH_NODE, num_nodes)
    wanted["base_weights"] = num_nodes * leaf_size(parameters)
    for name, count in wanted.items():
        if name not in tree and name != "right_children":
            continue
        found = len(tree.get(name, ()))
        if found != count:
            yield f"{name} has {found} values, expected {count}"


def highest_feature(tree: Mapping[str, Any]) -> int:
    """Return the highest feature that a tree splits by; 0 where its arrays differ.

    Raises
    ------
    ValueError
        For a part that is of another kind.
    """
    left = integers(tree.get("left_children", ()), "left_children")
    indices = integers(tree.get("split_indices", ()), "split_indices")
    if len(left) != len(indices):
        return 0
    return int(indices[left != _NO_NODE].max(initial=0))


def leaf_size(parameters: Mapping[str, Any]) -> int:
    """Return how many values a leaf has, by the parameters of its tree."""
    # Releases before 2.0 wrote 0 where a leaf has one value.
    return max(1, count_in(parameters, "size_leaf_vector") or 0)


def _link_errors(
    tree: Mapping[str, Any],
    parameters: Mapping[str, Any],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> Iterator[str]:
    """Find children and parents that make no tree whose root is node 0."""
    splits = left != _NO_NODE
    for name, children in (("left_children", left), ("right_children", right)):
        wrong = splits & ((children < 1) | (children >= len(left)))
        if wrong.any():
            node = int(wrong.argmax())
            yield (
                f"{name} of node {node} is {children[node]}, and there are "
                f"{len(left)} nodes"
            )
            return
    children = np.concatenate([left[splits], right[splits]])
    if (np.bincount(children, minlength=1) > 1).any():
        yield "a node is the child of two, or of one twice"
        return
    above = np.arange(len(left))
    above[children] = np.tile(np.flatnonzero(splits), 2)
    is_reached = _reached(above)
    yield from _reach_errors(tree, parameters, splits, above, ~is_reached)
    yield from _leaf_errors(tree, parameters, right[~splits & is_reached])


def _reached(above: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which nodes the root leads to: those at whose top it stands."""
    for _ in range(len(above).bit_length()):
        above = above[above]
    return np.equal(above, 0)


def _reach_errors(
    tree: Mapping[str, Any],
    parameters: Mapping[str, Any],
    splits: NDArray[np.bool_],
    above: NDArray[np.int64],
    lost: NDArray[np.bool_],
) -> Iterator[str]:
    """Find cycles, nodes that no path leads to, and parents that say otherwise.

    Parameters
    ----------
    above : numpy.ndarray
        The parent of each node by the links of the children; its own for those without.
    lost : numpy.ndarray
        Which nodes no path leads to: pruning has removed them, or something is wrong.
    """
    if (lost & splits).any():
        yield f"no path from the root leads to node {int((lost & splits).argmax())}"
    indices = integers(tree.get("split_indices", ()), "split_indices")
    if len(indices) == len(above) and (indices[lost] != _DELETED).any():
        yield f"no path from the root leads to node {int(lost.argmax())}"
    deleted = count_in(parameters, "num_deleted")
    if deleted not in (None, int(lost.sum())):
        yield f"num_deleted is {deleted}, but {int(lost.sum())} nodes are"
    if "parents" not in tree:
        return
    parents = integers(tree["parents"], "parents")
    # Of a node that was removed the parent is still looked up.
    outside = (parents < 0) | (parents >= len(above))
    wrong = np.where(lost, outside, parents != above)
    wrong[0] = parents[0] not in (_NO_NODE, _DELETED)
    if wrong.any():
        node = int(wrong.argmax())
        yield f"parents of node {node} is {parents[node]}, and its children say other"


def _leaf_errors(
    tree: Mapping[str, Any], parameters: Mapping[str, Any], places: NDArray[np.int64]
) -> Iterator[str]:
    """Find leaves of several values that name a place without any."""
    weights = numbers(tree.get("leaf_weights", ()), "leaf_weights")
    size = leaf_size(parameters)
    if len(weights) % size:
        yield f"leaf_weights has {len(weights)} values, no multiple of {size}"
    if not np.isfinite(weights).all():
        yield "leaf_weights has values that are not finite"
    if len(weights):
        wrong = (places < 0) | (places >= len(weights) // size)
    else:
        wrong = places != _NO_NODE
    if wrong.any():
        yield f"right_children of a leaf is {places[wrong][0]}, which names no values"


def _split_errors(
    tree: Mapping[str, Any], left: NDArray[np.int64], num_feature: int | None
) -> Iterator[str]:
    """Find features that are not there, and thresholds and values of leaves."""
    splits = left != _NO_NODE
    indices = integers(tree.get("split_indices", ()), "split_indices")
    if len(indices) and splits.any() and num_feature is not None:
        used = indices[splits]
        wrong = used[(used < 0) | (used >= num_feature)]
        if wrong.size:
            yield f"split_indices has {wrong[0]}, and there are {num_feature} features"
    for name in ("default_left", "split_type"):
        flags = integers(tree.get(name, ()), name)
        if ((flags < 0) | (flags > 1)).any():
            yield f"{name} has values other than 0 and 1"
    conditions = numbers(tree.get("split_conditions", ()), "split_conditions")
    if not len(conditions):
        return
    # A split by categories has no threshold: XGBoost writes NaN or any number.
    kinds = integers(tree.get("split_type", ()), "split_type")
    by_threshold = splits & (kinds == 0) if len(kinds) else splits
    if not np.isfinite(conditions[by_threshold]).all():
        yield "split_conditions has thresholds that are not finite"
    if not np.isfinite(conditions[~splits]).all():
        yield "split_conditions has values of leaves that are not finite"
    if leaf_size(part_of(tree, "tree_param")) > 1:
        weights = numbers(tree.get("base_weights", ()), "base_weights")
        if not np.isfinite(weights).all():
            yield "base_weights has values that are not finite"


def _category_errors(tree: Mapping[str, Any], left: NDArray[np.int64]) -> Iterator[str]:
    """Find categories that lie outside of their lists."""
    names = ("categories_nodes", "categories_segments", "categories_sizes")
    nodes, begins, sizes = (integers(tree.get(name, ()), name) for name in names)
    categories = integers(tree.get("categories", ()), "categories")
    if not len(nodes) == len(begins) == len(sizes):
        yield f"{', '.join(names)} differ in length"
        return
    if ((nodes < 0) | (nodes >= len(left))).any() or (np.diff(nodes) <= 0).any():
        yield "categories_nodes are not nodes in their order"
    ends = begins + sizes
    if ((begins < 0) | (sizes < 1) | (ends > len(categories))).any():
        yield "categories_segments and categories_sizes lie outside of categories"
        return
    if sizes.sum() > len(categories):
        # Each node has its own: shared ones would be gone through once a node.
        yield "categories_sizes sum to more than there are in categories"
        return
    if ((categories < 0) | (categories >= _MAX_CATEGORY)).any():
        yield f"categories has values outside of [0, {_MAX_CATEGORY})"
        return
    # XGBoost keeps one bit for each category up to the largest, at each node.
    largest = (int(categories[a:b].max()) for a, b in zip(begins, ends, strict=True))
    if sum(each // 8 for each in largest) > _MAX_CATEGORY_BYTES:
        yield f"its categories take more than {_MAX_CATEGORY_BYTES} bytes"
    kinds = integers(tree.get("split_type", ()), "split_type")
    if len(kinds):
        without = np.setdiff1d(np.flatnonzero((kinds == 1) & (left != -1)), nodes)
        if without.size:
            yield f"node {without[0]} splits by categories, and has none"
