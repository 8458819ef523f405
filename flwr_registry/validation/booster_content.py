"""Whether a serialized model of XGBoost is sound, told from its content alone.

XGBoost reads a file as it is told, so that one number that is out of bounds ends the
process that predicts. Here the content is parsed and never given to XGBoost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_registry.canonical_json import most_containers
from flwr_registry.validation.booster_categories import category_errors
from flwr_registry.validation.booster_trees import (
    count_in,
    highest_feature,
    integers,
    leaf_size,
    missing_parts,
    numbers,
    part_of,
    tree_errors,
)
from flwr_registry.validation.ubjson import (
    check_containers,
    read_ubjson,
    unique_keys,
)
from flwr_registry.weights import Weights

__all__ = ["booster_errors", "is_booster"]

_NAMED_MANY = 10
_SPACES = b" \t\r\n"
_UNICODE_ESCAPE = re.compile(r"(\\\\)|\\u")
# A model of trees has one of each class from its first iteration on.
_MAX_GROUPS_WITHOUT_TREES = 1000
# Whoever predicts makes room for each feature, used or not.
_MAX_NAMELESS_FEATURES = 2**26
_FEATURES_OF_ANY_MODEL = 100_000
_FEATURES_PER_INDEX = 16


def is_booster(weights: Weights) -> bool:
    """Whether this is a model of XGBoost, sound or not, rather than anything else."""
    if not weights.opaque:
        return False
    return any(_begins_as_booster(_bytes_of(array)) for array in weights.values())


def booster_errors(weights: Weights, before: Weights | None = None) -> Iterator[str]:
    """Find what makes a serialized model of XGBoost unsafe to predict with.

    Other serialized models are not looked into.

    Parameters
    ----------
    before : Weights, optional
        The model that training went on with; after one of XGBoost comes another.
    """
    if before is not None and is_booster(before) and not is_booster(weights):
        yield "the model is none of XGBoost (JSON or UBJSON), as the one before was"
    for array in weights.values():
        data = _bytes_of(array)
        if _begins_as_booster(data):
            yield from islice(_content_errors(data), _NAMED_MANY)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _begins_as_booster(data: memoryview) -> bool:
    start = bytes(data[:64]).lstrip(_SPACES)
    return start[:1] == b"{" and start[1:2] in (b"L", b'"', b"}", *_each(_SPACES), b"")


def _each(characters: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([each]) for each in characters)


def _content_errors(data: memoryview) -> Iterator[str]:
    try:
        model = _parsed(data)
    except (ValueError, RecursionError) as error:
        yield f"the XGBoost model cannot be read: {error or 'nested too deeply'}"
        return
    try:
        for found in _model_errors(model):
            yield f"the XGBoost model is unsound: {found}"
    except Exception as error:  # Whatever a client wrote, it is no reason to fail.  # noqa: BLE001
        yield f"the XGBoost model is unsound: {error}"


def _parsed(data: memoryview) -> Mapping[str, Any]:
    if bytes(data[:2]) == b"{L":
        model = read_ubjson(data)
    else:
        content = bytes(data)
        check_containers(most_containers(content), len(content))
        # Decoded here: a parser that guesses the encoding reads another text.
        text = _without_unicode_escapes(content.decode())
        model = json.loads(text, object_pairs_hook=unique_keys)
    if not isinstance(model, dict):
        raise ValueError("it is no object")
    return model


def _without_unicode_escapes(text: str) -> str:
    """Return JSON whose escapes of Unicode stand for themselves, as XGBoost has it.

    Otherwise a name that is spelt with them would be there for the check alone.
    """
    if "\\u" not in text:
        return text
    return _UNICODE_ESCAPE.sub(lambda found: found[1] or r"\\u", text)


def _model_errors(model: Mapping[str, Any]) -> Iterator[str]:
    learner = part_of(model, "learner")
    parameters = part_of(learner, "learner_model_param")
    num_feature = count_in(parameters, "num_feature")
    groups = max(
        count_in(parameters, "num_class") or 0,
        count_in(parameters, "num_target") or 0,
        1,
    )
    yield from _learner_errors(learner, parameters, num_feature, groups)
    booster = part_of(learner, "gradient_booster")
    # XGBoost goes by the name, whatever other parts lie beside.
    is_dart = booster.get("name") == "dart"
    forest = part_of(booster, "gbtree") if is_dart else booster
    described = part_of(forest, "model")
    if "learner_model_param" in learner:
        # Without it XGBoost reads no further, and refuses the file.
        yield from _missing(booster, described)
    if "weights" in described:
        yield from _linear_errors(described, num_feature, groups)
    if "trees" in described:
        if not _list(learner, "feature_names") and not _list(learner, "feature_types"):
            yield from _width_errors(_list(described, "trees"), num_feature)
        yield from _forest_errors(described, num_feature, groups)
        if "weight_drop" in booster:
            drops = numbers(booster["weight_drop"], "weight_drop")
            if len(drops) != len(described["trees"]) or not np.isfinite(drops).all():
                yield "weight_drop is not one finite number for each tree"


def _missing(booster: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[str]:
    """Find parts that XGBoost reads without asking whether they are there."""
    names = ("gbtree_model_param", "tree_info", "trees")
    for name in ("weights",) if booster.get("name") == "gblinear" else names:
        if name not in described:
            yield f"{name} is missing"
    if booster.get("name") == "dart" and "weight_drop" not in booster:
        yield "weight_drop is missing"
    for place, tree in enumerate(_list(described, "trees")):
        if isinstance(tree, dict):
            yield from (f"tree {place}: {error}" for error in missing_parts(tree))


def _learner_errors(
    learner: Mapping[str, Any],
    parameters: Mapping[str, Any],
    num_feature: int | None,
    groups: int,
) -> Iterator[str]:
    """Find numbers that contradict one another."""
    for name in ("feature_names", "feature_types"):
        count = len(_list(learner, name))
        if num_feature is not None and count not in (0, num_feature):
            yield f"{name} has {count} values, and there are {num_feature} features"
    objective = part_of(learner, "objective")
    classes = count_in(part_of(objective, "softmax_multiclass_param"), "num_class")
    if classes is not None and "num_class" in parameters and max(classes, 1) != groups:
        yield f"the objective has {classes} classes, and the model {groups}"
    if "base_score" in parameters:
        scores = _base_scores(parameters["base_score"])
        if len(scores) not in (1, groups) or not np.isfinite(scores).all():
            yield f"base_score is not one finite number for each of {groups} classes"


def _base_scores(text: Any) -> list[float]:
    try:
        shown = str(text).strip()
        inner = shown[1:-1] if shown[:1] + shown[-1:] == "[]" else shown
        with np.errstate(over="ignore"):
            return [float(np.float32(float(each))) for each in inner.split(",")]
    except ValueError as error:
        raise ValueError(f"base_score is {str(text)[:40]!r}, no number") from error


def _linear_errors(
    described: Mapping[str, Any], num_feature: int | None, groups: int
) -> Iterator[str]:
    weights = numbers(described["weights"], "weights")
    if not np.isfinite(weights).all():
        yield "weights has values that are not finite"
    if num_feature is not None and len(weights) != (num_feature + 1) * groups:
        yield (
            f"weights has {len(weights)} values, expected those of {num_feature} "
            f"features and a bias for each of {groups} classes"
        )


def _forest_errors(
    described: Mapping[str, Any], num_feature: int | None, groups: int
) -> Iterator[str]:
    trees = _list(described, "trees")
    yield from _count_errors(described, trees, groups)
    if "cats" in described:
        yield from category_errors(part_of(described, "cats"))
    sizes = set()
    for place, tree in enumerate(trees):
        if not isinstance(tree, dict):
            raise ValueError(f"tree {place} is no object")
        try:
            for error in tree_errors(tree, num_feature):
                yield f"tree {place}: {error}"
            sizes.add(leaf_size(part_of(tree, "tree_param")))
        except ValueError as error:
            yield f"tree {place}: {error}"
    if sizes - {1} and sizes != {groups}:
        yield f"size_leaf_vector is {sorted(sizes)}, and there are {groups} targets"
    if groups > max(_MAX_GROUPS_WITHOUT_TREES, len(trees), *sizes):
        yield f"it has {groups} classes, and {len(trees)} trees"


def _width_errors(trees: Sequence[Any], num_feature: int | None) -> Iterator[str]:
    """Find a number of features that nothing in the file lets expect."""
    if num_feature is None or num_feature <= _FEATURES_OF_ANY_MODEL:
        return
    used = (highest_feature(tree) for tree in trees if isinstance(tree, dict))
    expected = max(_FEATURES_OF_ANY_MODEL, _FEATURES_PER_INDEX * max(used, default=0))
    if num_feature > min(expected, _MAX_NAMELESS_FEATURES):
        yield f"it has {num_feature} features, which no name and no split lets expect"


def _count_errors(
    described: Mapping[str, Any], trees: Sequence[Any], groups: int
) -> Iterator[str]:
    """Find counts of trees that differ, and trees of classes that are not there."""
    parameters = part_of(described, "gbtree_model_param")
    told = count_in(parameters, "num_trees")
    if told not in (None, len(trees)):
        yield f"num_trees is {told}, and there are {len(trees)} trees"
    if count_in(parameters, "num_parallel_tree") == 0:
        yield "num_parallel_tree is 0"
    ids = [tree["id"] for tree in trees if isinstance(tree, dict) and "id" in tree]
    if sorted(integers(ids, "id").tolist()) != list(range(len(trees))):
        yield f"the ids of the trees are not those from 0 to {len(trees) - 1}"
    if "tree_info" in described:
        classes = integers(described["tree_info"], "tree_info")
        if len(classes) != len(trees):
            yield f"tree_info has {len(classes)} values, expected {len(trees)}"
        wrong = classes[(classes < 0) | (classes >= groups)]
        if wrong.size:
            yield f"tree_info has class {wrong[0]}, and there are {groups}"
    if "iteration_indptr" in described:
        ends = integers(described["iteration_indptr"], "iteration_indptr")
        rises = len(ends) and ends[0] == 0 and (np.diff(ends) >= 0).all()
        if not rises or ends[-1] != len(trees):
            yield f"iteration_indptr does not lead from 0 to {len(trees)} trees"


def _list(described: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = described.get(name, ())
    if not isinstance(found, list | tuple | np.ndarray):
        raise ValueError(f"{name} is no list")
    return list(found)
