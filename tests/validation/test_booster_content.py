"""Serialized models of XGBoost are refused before XGBoost sees them."""

import json
import struct
import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_registry.validation import Candidate, ModelValidator, booster_errors
from flwr_registry.weights import Weights

LARGE = 2**31 - 1


@cache
def booster(kind="trees"):
    """Return a sound model as JSON."""
    import xgboost

    generator = np.random.default_rng(1)
    features = generator.normal(size=(200, 4))
    labels = (features[:, 0] + features[:, 1] > 0).astype(int)
    options = {
        "trees": {"objective": "binary:logistic"},
        "classes": {"objective": "multi:softprob", "num_class": 3, "booster": "dart"},
        "vectors": {"multi_strategy": "multi_output_tree", "tree_method": "hist"},
        "linear": {"booster": "gblinear"},
        "categories": {"tree_method": "hist", "max_cat_to_onehot": 1},
        "pruned": {"updater": "grow_colmaker,prune", "gamma": 5},
    }[kind]
    given = {}
    if kind == "vectors":
        labels = np.stack([labels, 1 - labels], axis=1)
    if kind == "categories":
        features[:, 0] = generator.integers(0, 9, 200)
        given = {"feature_types": ["c", "q", "q", "q"], "enable_categorical": True}
    matrix = xgboost.DMatrix(features, labels, **given)
    return xgboost.train(
        {"max_depth": 3, "nthread": 1, "verbosity": 0, **options}, matrix, 2
    )


def as_json(kind="trees"):
    return json.loads(bytes(booster(kind).save_raw("json")))


def weights_of(model):
    data = json.dumps(model).encode() if isinstance(model, dict) else bytes(model)
    return Weights({"0": np.frombuffer(data, np.uint8)}, opaque=True)


def errors(model, before=None):
    candidate = Candidate(weights_of(model), before=before)
    return ModelValidator().model_errors(candidate)


KINDS = ["trees", "classes", "vectors", "linear", "categories", "pruned"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_xgboost_wrote_is_sound(kind):
    assert errors(booster(kind).save_raw("json")) == []
    assert errors(booster(kind).save_raw("ubj")) == []


TREE = ("learner", "gradient_booster", "model", "trees", 1)
MODEL = TREE[:3]
WRONG = [
    ((*TREE, "left_children", 0), LARGE, "left_children of node 0 is 2147483647"),
    ((*TREE, "left_children", 0), -5, "left_children"),
    ((*TREE, "right_children", 0), 0, "right_children"),
    ((*TREE, "right_children", 0), 1, "child of two"),
    ((*TREE, "right_children", 0), 2**70, "right_children"),
    ((*TREE, "right_children", 0), 2.0, "whole numbers"),
    ((*TREE, "left_children"), [], "no node"),
    ((*TREE, "left_children"), None, "no list"),
    ((*TREE, "right_children"), [-1], "expected"),
    ((*TREE, "parents", 1), LARGE, "parents of node 1"),
    ((*TREE, "parents", 1), 2, "parents of node 1"),
    ((*TREE, "split_indices", 0), 4, "there are 4 features"),
    ((*TREE, "split_indices", 0), -1, "there are 4 features"),
    ((*TREE, "split_conditions", 0), float("nan"), "thresholds"),
    ((*TREE, "split_conditions", 0), 1e300, "thresholds"),
    ((*TREE, "split_conditions", -1), float("-inf"), "values of leaves"),
    ((*TREE, "default_left"), [1], "default_left has 1 values"),
    ((*TREE, "tree_param", "num_nodes"), "1000000", "num_nodes"),
    ((*TREE, "tree_param", "size_leaf_vector"), "7", "base_weights has"),
    ((*TREE, "id"), 0, "ids of the trees"),
    ((*TREE,), None, "tree 1 is no object"),
    ((*MODEL, "tree_info", 0), 1, "class 1"),
    ((*MODEL, "tree_info"), [0], "tree_info has 1 values"),
    ((*MODEL, "iteration_indptr", 1), 5, "iteration_indptr"),
    ((*MODEL, "gbtree_model_param", "num_trees"), "3", "num_trees is 3"),
    (("learner", "learner_model_param", "num_class"), "2000000000", "classes"),
    (("learner", "learner_model_param", "num_feature"), "-4", "no count"),
    (("learner", "learner_model_param", "base_score"), "nan", "base_score"),
    (("learner", "learner_model_param"), [], "no object"),
]


@pytest.mark.parametrize(("path", "value", "told"), WRONG)
def test_whatever_leads_out_of_bounds_is_named(path, value, told):
    model = place = as_json()
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert any(told in error for error in errors(model)), errors(model)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("trees", (*TREE, "loss_changes")),
        ("trees", (*TREE, "parents")),
        ("trees", (*MODEL, "trees")),
        ("linear", (*MODEL, "weights")),
    ],
)
def test_what_xgboost_reads_unasked_has_to_be_there(kind, path):
    model = place = as_json(kind)
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    assert any(f"{path[-1]} is missing" in error for error in errors(model))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("trees", (*TREE[3:], "left_children", 0), LARGE),
        ("linear", ("weights",), [1.0]),
    ],
)
def test_another_part_beside_the_model_is_not_taken_for_it(kind, path, value):
    model = as_json(kind)
    booster_part = model["learner"]["gradient_booster"]
    sound = as_json(kind)["learner"]["gradient_booster"]["model"]
    booster_part["gbtree"] = {"name": "gbtree", "model": sound}
    place = booster_part["model"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert errors(model)


def test_escapes_are_read_as_xgboost_reads_them():
    text = json.dumps(as_json("linear"))
    hidden = text.replace('"weights"', '"weight\\u0073"')
    assert any("weights is missing" in error for error in errors(hidden.encode()))
    named = booster().copy()
    named.set_attr(path="C:\\users", quoted='\\\\u"\\\\', letter="\x01é")
    assert errors(named.save_raw("json")) == []


def test_a_circle_is_found_though_each_node_has_one_parent():
    model = as_json()
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    inner = tree["left_children"][0]
    tree["left_children"][0] = tree["left_children"][inner]
    tree["left_children"][inner] = inner
    assert any("no path from the root" in error for error in errors(model))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("vectors", (*TREE, "right_children", -1), 99),
        ("vectors", (*TREE, "leaf_weights", 0), float("inf")),
        ("vectors", ("learner", "learner_model_param", "num_target"), "1"),
        ("categories", (*TREE, "categories", 0), 2**30),
        ("categories", (*TREE, "categories_sizes", 0), 2**30),
        ("categories", (*TREE, "categories_segments", 0), 2**63 - 1),
        ("categories", (*TREE, "categories_nodes", 0), 77),
        ("linear", (*MODEL, "weights"), [1.0]),
        ("linear", (*MODEL, "weights", 0), float("nan")),
        ("classes", ("learner", "gradient_booster", "weight_drop"), [1.0]),
        ("classes", (*MODEL[:2], "gbtree", "model", "tree_info", 0), 3),
    ],
)
def test_other_kinds_of_models_are_looked_into_too(kind, path, value):
    model = place = as_json(kind)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert errors(model)


@pytest.mark.parametrize(
    "content",
    [
        b'{"learner": ',
        b'{"learner": {"a": 1, "a": 2}}',
        b'{"learner": {}} more',
        b'{"learner": ' + b"[" * 100_000,
        b"{L" + struct.pack(">q", 2**40) + b"learner",
        b"{L" + struct.pack(">q", -1) + b"learner",
        b"{L\0\0\0\0\0\0\0\x01a" + b"[" * 100_000,
        b"{L\0\0\0\0\0\0\0\x01a[$d#L" + struct.pack(">q", 2**60) + b"}",
        b"{L\0\0\0\0\0\0\0\x01ai\0L\0\0\0\0\0\0\0\x01ai\1}",
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(content):
    (found,) = errors(content)
    assert "cannot be read" in found


@pytest.mark.parametrize(
    ("names", "used", "count", "sound"),
    [
        (0, 0, 300_000_000, False),
        (0, 0, 100_000, True),
        (0, 0, 100_001, False),
        (0, 70_000, 1_000_000, True),
        (200_000, 0, 200_000, True),
    ],
)
def test_features_are_no_more_than_names_and_splits_let_expect(
    names, used, count, sound
):
    model = as_json()
    learner = model["learner"]
    learner["learner_model_param"]["num_feature"] = str(count)
    learner["feature_names"] = ["f"] * names
    learner["gradient_booster"]["model"]["trees"][1]["split_indices"][0] = used
    found = errors(model)
    assert found == [] if sound else "no name and no split" in found[0]


@pytest.mark.timeout(20)
def test_a_key_that_is_there_twice_is_found_in_one_pass():
    pairs = ",".join(f'"k{number}":0' for number in range(50_000))
    (found,) = errors(f'{{{pairs},"k49999":1}}'.encode())
    assert "the key 'k49999' is there twice" in found


@pytest.mark.parametrize(
    "content",
    [
        b'{"learner":[' + b"[]," * 60_000 + b"0]}",
        b'{"learner":[' + b'{"a":0},' * 150_000 + b"0]}",
        b"{L" + struct.pack(">q", 7) + b"learner[" + b"[]" * 100_000 + b"]}",
    ],
    ids=["lists", "objects", "UBJSON"],
)
def test_what_parsing_makes_is_bounded_by_the_content(content):
    weights = weights_of(content)
    tracemalloc.start()
    try:
        (found,) = booster_errors(weights)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(content)
    finally:
        tracemalloc.stop()
    assert "cannot be read" in found
    assert "many times as much" in found


def test_nodes_that_share_their_categories_are_refused():
    model = as_json("categories")
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    assert len(tree["categories_nodes"]) > 1
    for name, value in (("segments", 0), ("sizes", len(tree["categories"]))):
        tree[f"categories_{name}"] = [value for _ in tree["categories_nodes"]]
    (found,) = errors(model)
    assert "sum to more than there are" in found


def test_after_a_model_of_xgboost_comes_another():
    before = weights_of(as_json())
    assert errors(b"lightgbm") == []
    (found,) = errors(b"lightgbm", before)
    assert "none of XGBoost" in found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_ubjson_is_an_error_or_another_model(data):
    raw = bytearray(booster().save_raw("ubj"))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(2, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert all(isinstance(error, str) for error in errors(raw))
