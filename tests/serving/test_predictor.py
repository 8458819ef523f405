"""Versions in use within a process."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from serving.conftest import CONFIG, FEATURES
from serving.networks import Counts, Net, TwoInputs, constant_net, linear

from flwr_registry import ModelRegistry, Predictor, described_model
from flwr_registry.errors import (
    IntegrityError,
    InvalidInputError,
    ModuleMismatchError,
    NoProductionModelError,
    PredictionError,
    ValidationError,
)
from flwr_registry.extras import how_to_install
from flwr_registry.records import (
    Contribution,
    RoundFacts,
    RunProvenance,
    VersionMetadata,
    VersionStatus,
)
from flwr_registry.weights import Weights


@pytest.fixture
def net(registry):
    torch.manual_seed(1)
    made = Net()
    registry.register(made, model="digits")
    return made.eval()


def expected(net, features=FEATURES):
    with torch.no_grad():
        return net(torch.tensor(features)).numpy()


@pytest.mark.parametrize("model", [Net, "serving.networks:Net", Net(), lambda: Net()])
def test_a_module_is_built_however_it_is_named(registry, net, model):
    predictor = Predictor("digits:1.0.0", model, registry=registry)
    np.testing.assert_array_equal(predictor.predict(FEATURES), expected(net))
    np.testing.assert_allclose(
        predictor.predict_one(FEATURES[1].tolist()), expected(net)[1], rtol=1e-5
    )


def test_what_was_recorded_builds_the_module_and_checks_inputs(registry, add):
    add(2)
    predictor = Predictor("digits@latest", registry=registry)
    np.testing.assert_array_equal(predictor.predict(FEATURES), np.full((2, 3), 2.0))
    with pytest.raises(InvalidInputError, match="input 'features' has shape"):
        predictor.predict(np.zeros((2, 5)))


def test_a_bare_name_is_the_production_version(registry, add):
    first, _ = add(1), add(2)
    with pytest.raises(NoProductionModelError):
        Predictor("digits", registry=registry)
    registry.promote(first.reference)
    assert Predictor("digits", registry=registry).version.version == "1.0.0"


def test_the_users_module_stays_as_it_is(registry, add):
    add(2)
    mine = constant_net(7)
    Predictor("digits@latest", mine, registry=registry)
    assert mine.layer.bias.detach().tolist() == [7] * 3
    assert mine.training


def test_arguments_reach_the_class(registry):
    net = Net(bias=False)
    config = described_model(Net, bias=False)
    registry.register(
        net, model="digits", metadata=VersionMetadata(model_config=config)
    )
    by_hand = Predictor(
        "digits@latest", Net, arguments={"bias": False}, registry=registry
    )
    recorded = Predictor("digits@latest", registry=registry)
    np.testing.assert_array_equal(by_hand.predict(FEATURES), recorded.predict(FEATURES))


def test_differences_between_weights_and_module_are_listed(registry):
    weights = {"layer.weight": np.ones((3, 5)), "other": np.ones(1)}
    registry.register(weights, model="digits")
    with pytest.raises(ModuleMismatchError) as raised:
        Predictor("digits@latest", Net, registry=registry)
    for part in (
        "missing arrays: 'layer.bias'",
        "unexpected arrays: 'other'",
        "'layer.weight' has shape (3, 5), expected (3, 4)",
    ):
        assert part in str(raised.value)


def test_legacy_weights_are_taken_by_their_places(registry, net):
    state = net.state_dict()
    registry.register(
        {str(place): each for place, each in enumerate(state.values())}, model="legacy"
    )
    predictor = Predictor("legacy@latest", Net, registry=registry)
    np.testing.assert_array_equal(predictor.predict(FEATURES), expected(net))


def test_averaged_counters_fit(registry):
    state = {name: each.double() for name, each in Counts().state_dict().items()}
    registry.register(state, model="digits")
    Predictor("digits@latest", Counts, registry=registry).predict(FEATURES)


def test_several_inputs_and_outputs_have_names(registry):
    torch.manual_seed(1)
    module = TwoInputs()
    registry.register(module, model="two")
    predictor = Predictor("two@latest", TwoInputs, registry=registry)
    pair = {"left": np.ones((3, 2), np.float32), "right": np.zeros((3, 2), np.float32)}
    made = predictor.predict(pair)
    assert sorted(made) == ["rest", "sum"]
    np.testing.assert_array_equal(made["rest"], np.ones((3, 2)))


def test_large_batches_are_cut_and_joined(registry, net):
    features = np.random.default_rng(1).random((1001, 4), np.float32)
    whole = Predictor("digits@latest", Net, registry=registry).predict(features)
    seen = []

    def counting(weights, inputs):
        seen.append(len(inputs))
        return inputs

    Predictor(
        "digits@latest", predict=counting, registry=registry, max_batch_bytes=160
    ).predict(features)
    assert max(seen) == 10 and sum(seen) == 1001
    cut = Predictor("digits@latest", Net, registry=registry, max_batch_bytes=160)
    np.testing.assert_allclose(cut.predict(features), whole, atol=1e-6)


def test_rows_that_are_no_examples_cannot_be_joined(registry, net):
    predictor = Predictor(
        "digits@latest",
        predict=lambda weights, inputs: inputs.sum(axis=0),
        registry=registry,
        max_batch_bytes=16,
    )
    with pytest.raises(PredictionError, match="raise max_batch_bytes"):
        predictor.predict(np.ones((5, 4), np.float32))


@pytest.mark.parametrize("predict", [linear, "serving.networks:linear"])
def test_a_function_predicts_without_torch(registry, predict):
    registry.register({"w": np.arange(4.0)}, model="line")
    predictor = Predictor("line@latest", predict=predict, registry=registry)
    np.testing.assert_array_equal(predictor.predict([[1, 0, 0, 2]]), [6.0])


def test_scikit_learn_predicts_from_its_coefficients(registry):
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    features, labels = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(0)) / features.std(0)
    fitted = LogisticRegression().fit(features, labels)
    registry.register(
        {"coef": fitted.coef_, "intercept": fitted.intercept_}, model="cancer"
    )

    def predict(weights, inputs):
        made = LogisticRegression()
        made.coef_, made.intercept_ = weights["coef"], weights["intercept"]
        made.classes_ = np.array([0, 1])
        return made.predict_proba(inputs)

    predictor = Predictor("cancer@latest", predict=predict, registry=registry)
    np.testing.assert_array_equal(
        predictor.predict(features), fitted.predict_proba(features)
    )


def test_xgboost_predicts_with_its_own_loader(registry):
    import xgboost
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    matrix = xgboost.DMatrix(features, labels)
    booster = xgboost.train({"objective": "binary:logistic"}, matrix, 5)
    registry.register(bytes(booster.save_raw("json")), model="trees")
    predictor = Predictor("trees@latest", registry=registry)
    np.testing.assert_array_equal(predictor.predict(features), booster.predict(matrix))


def test_trees_that_lead_out_of_bounds_are_never_given_to_xgboost(registry, tmp_path):
    tree = {
        "id": 0,
        "left_children": [2**31 - 1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 1.0, 2.0],
    }
    booster = {"model": {"trees": [tree]}, "name": "gbtree"}
    content = json.dumps({"learner": {"gradient_booster": booster}}).encode()
    with pytest.raises(ValidationError, match="left_children of node 0"):
        registry.register(content, model="trees")
    # As an earlier release recorded it, which did not look into the trees.
    run = registry.start_run(RunProvenance("trial", "trees"))
    made = registry.register(
        content, model="trees", run=run, facts=RoundFacts(1, {}, [])
    )
    for options in ({}, {"predict": lambda weights, inputs: inputs}):
        with pytest.raises(PredictionError, match="left_children of node 0"):
            Predictor(made.reference, registry=registry, **options)
    registry.export(made.reference, bundle := tmp_path / "trees.flwr", to="bundle")
    with ModelRegistry(tmp_path / "other.db", tmp_path / "others") as other:
        assert other.import_bundle(bundle).status is VersionStatus.FAILED


def test_what_is_none_of_xgboost_is_not_given_to_it(registry):
    content = Weights({"0": np.frombuffer(b"binf\0\0\0", np.uint8)}, opaque=True)
    registry.register(content, model="trees")
    with pytest.raises(PredictionError, match="give predict="):
        Predictor("trees@latest", registry=registry)


def test_threads_may_share_a_predictor(registry, net):
    predictor = Predictor("digits@latest", Net, registry=registry)
    wanted, wrong = expected(net), []

    def work():
        for _ in range(50):
            if not np.array_equal(predictor.predict(FEATURES), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_damaged_bytes_are_never_used(registry, add, tmp_path):
    made = add(1)
    path = tmp_path / "weights" / made.storage_path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="is damaged"):
        Predictor("digits@latest", registry=registry)


def test_withdrawn_and_failed_versions_are_refused(registry, add):
    run = registry.start_run(RunProvenance("trial", "digits"))
    facts = RoundFacts(1, {}, [Contribution("a")])
    made = add(1, run=run, facts=facts)
    registry.withdraw("a", reason="consent")
    with pytest.raises(PredictionError, match="is withdrawn"):
        Predictor(made.reference, registry=registry)
    failed = registry.register(Net(), model="digits", errors=["too bad"])
    with pytest.raises(PredictionError, match="failed validation: too bad"):
        Predictor(failed.reference, Net, registry=registry)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.at.all:Net", "cannot be imported: No module"),
        ("serving.networks:Missing", "cannot be imported: module"),
        ("Net", "names no callable: use package.module:Class"),
        ("serving.networks:not_a_module", "made a str, no torch module"),
    ],
)
def test_a_factory_that_is_none_is_explained(registry, net, name, problem):
    with pytest.raises(ModuleMismatchError, match=problem):
        Predictor("digits@latest", name, registry=registry)


@pytest.mark.parametrize("name", ["os:system", "serving.networks:not_a_module"])
def test_what_is_recorded_never_calls_anything_but_a_module(registry, name):
    """Whoever writes into the registry must not run code on the server."""
    config = {"factory": name, "arguments": {"command": "touch /tmp/owned"}}
    registry.register(
        Net(), model="digits", metadata=VersionMetadata(model_config=config)
    )
    with pytest.raises(ModuleMismatchError, match="is no torch module class"):
        Predictor("digits@latest", registry=registry)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from flwr_registry import Predictor
for options in ({"model": object}, {}):
    try:
        Predictor("digits@latest", registry=sys.argv[1], storage=sys.argv[2], **options)
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
def test_without_torch_the_error_says_how_to_install_it(add, tmp_path):
    add(1)
    command = [sys.executable, "-c", WITHOUT_TORCH]
    places = [str(tmp_path / "registry.db"), str(tmp_path / "weights")]
    told = subprocess.run([*command, *places], capture_output=True, text=True)
    line = f"torch is not installed: {how_to_install('torch')}\n"
    assert told.stdout == 2 * line, told.stderr


def test_without_a_factory_the_error_says_how_to_give_one(registry, net):
    with pytest.raises(
        ModuleMismatchError, match="does not say how its module is built"
    ):
        Predictor("digits@latest", registry=registry)


def test_a_class_that_no_other_process_finds_is_not_recorded():
    class Local(Net):
        pass

    with pytest.raises(
        ModuleMismatchError, match="put the class at the top of a module"
    ):
        described_model(Local)
    assert CONFIG["factory"] == "serving.networks:Net"
