"""What is new and bad against the model that training went on with is rejected."""

import json
import logging
import random
from dataclasses import replace

import numpy as np
import pytest
from federation.catalogue import find
from federation.clients import NODE_IDS, XgboostClients
from federation.entries import Entry
from federation.faults import Fault, FaultKind
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from federation.legacy_clients import OK
from federation.legacy_federation import OrderedServer, federate
from federation.outcome import Play, play
from federation.reshaping import ANY_LOSS, RESHAPING, entry_of, reshaping_by
from flwr.app import ConfigRecord
from flwr.common import FitRes, parameters_to_ndarrays
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelValidator, RegistryStrategy
from flwr_registry.weights import Architecture, Weights

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])
CASES = {case.name: case for case in RESHAPING}


def run(case, api, database, rounds=4, faults=(), **options):
    options = {"registry": database, "model": "digits", "on_error": "raise"} | options
    wrap = lambda strategy: RegistryStrategy(strategy, **options)  # noqa: E731
    how = Play(wrap=wrap, rounds=rounds, faults=faults)
    return play(entry_of(case, api), how)


def bare(case, api, rounds=4):
    return play(entry_of(case, api), Play(rounds=rounds))


def statuses(registry):
    return [each.status.value for each in registry.list("digits")[::-1]]


def grown_in_round_3(arrays, server_round):
    own = dict(list(arrays.items())[:2])
    return own if server_round < 3 else {**own, "new": np.ones(1)}


GROWN = reshaping_by(grown_in_round_3)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("name", ["mask", "unset"])
def test_nan_beside_what_was_never_finite_is_rejected(
    api, name, database, registry, caplog
):
    faults = [Fault(2, NODE_IDS[0], FaultKind.NAN)]
    run(CASES[name], api, database, faults=faults, validator=ANY_LOSS)
    assert statuses(registry) == ["candidate", "failed", "candidate", "candidate"]
    (error,) = registry.get("digits:1.1.0").validation_errors
    assert error.endswith("has 1 NaN among 6 values")
    assert registry.get("digits:1.2.0").parent_version == "1.0.0"
    assert "rejected: training stands still" not in caplog.text


@BOTH
def test_a_structure_that_changes_later_is_rejected_and_told_with_the_remedy(
    api, database, registry, caplog
):
    run(GROWN, api, database, rounds=6, run="trial")
    assert statuses(registry) == ["candidate"] * 2 + ["failed"] * 4
    assert "unexpected arrays" in registry.get("digits:1.2.0").validation_errors[0]
    told = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert ["last 2 rounds" in told[0].getMessage(), len(told)] == [True, 2]
    assert "last 4 rounds" in told[1].getMessage()
    assert "on_invalid='record'" in told[0].getMessage()
    assert "unexpected arrays" in told[0].getMessage()


@pytest.mark.slow
@BOTH
def test_a_resumed_run_counts_on(api, database, registry, caplog):
    run(GROWN, api, database, rounds=3, run="trial")
    assert "stands still" not in caplog.text
    run(GROWN, api, database, rounds=4, run="trial", resume=True)
    assert "models of the last 2 rounds were rejected" in caplog.text
    assert statuses(registry) == ["candidate"] * 2 + ["failed"] * 2


@pytest.mark.slow
@BOTH
def test_the_remedies_that_the_log_names_let_it_pass(api, database, registry):
    assert run(GROWN, api, database, on_invalid="record") == bare(GROWN, api)
    assert statuses(registry) == ["candidate"] * 2 + ["failed"] * 2


def test_a_validator_of_ones_own_is_as_strict_as_it_was(database, registry):
    case = CASES["halves"]
    strict = ModelValidator(reference=case.initial())
    run(case, "message", database, rounds=1, validator=strict)
    assert statuses(registry) == ["failed"]
    errors = registry.get("digits:1.0.0").validation_errors
    assert all("has dtype float16, expected float32" in each for each in errors)


@BOTH
@pytest.mark.parametrize("name", ["doubled", "halves", "adapters"])
def test_the_first_aggregate_is_told_when_it_is_unlike_the_initial_model(
    api, name, database, caplog
):
    caplog.set_level(logging.INFO, "flwr")
    run(CASES[name], api, database, rounds=2)
    told = [
        each for each in caplog.messages if "is the reference for all later" in each
    ]
    assert len(told) == 1
    assert {"doubled": "unexpected arrays", "halves": "float16, not float32"}.get(
        name, "missing arrays"
    ) in told[0]


@BOTH
@pytest.mark.parametrize("name", ["FedAdam", "counter", "Krum", "mask"])
def test_a_first_aggregate_that_is_like_it_is_not(api, name, database, caplog):
    caplog.set_level(logging.INFO, "flwr")
    run(CASES[name], api, database, rounds=1)
    assert "is the reference for all later" not in caplog.text


@BOTH
@pytest.mark.parametrize("name", ["FedAdam", "QFedAvg"])
def test_what_was_widened_is_stored_as_it_is_and_used_as_it_was(
    api, name, database, registry
):
    case = CASES[name]
    run(case, api, database, rounds=2)
    weights = registry.load("digits")
    assert {str(each.dtype) for each in weights.values()} == {"float64"}
    assert set(weights.cast_back.values()) == {"float32"}
    assert {str(each.dtype) for each in weights.to_torch().values()} == {
        "torch.float32"
    }
    initial = case.initial()
    if api == "legacy":
        initial = {str(i): each for i, each in enumerate(initial.values())}
    fingerprint = Architecture.of(Weights(initial)).fingerprint
    assert {each.fingerprint for each in registry.list("digits")} == {fingerprint}


class ReadsEachModel(OrderedServer):
    """Reads each round's model, as servers do that know theirs always has one."""

    def fit_round(self, server_round, timeout):
        found = super().fit_round(server_round, timeout)
        self.norms = [
            *getattr(self, "norms", []),
            float(np.abs(parameters_to_ndarrays(found[0])[0]).sum()),
        ]
        return found


@pytest.mark.parametrize("name", ["with_control", "float64", "unset", "placeholder"])
def test_a_server_that_reads_each_model_gets_one(name, database):
    def norms(wrap):
        random.seed(3)
        setup = entry_of(CASES[name], "legacy").make()
        manager, _ = federate(setup.clients, setup.tensor_format, setup.initial)
        server = ReadsEachModel(client_manager=manager, strategy=wrap(setup.strategy))
        server.fit(3, timeout=None)
        return server.norms

    assert norms(lambda each: RegistryStrategy(each, registry=database)) == norms(
        lambda each: each
    )


def test_hooks_called_by_themselves_reject_whatever_is_not_finite(database, registry):
    strategy = RegistryStrategy(
        LegacyFedAvg(), registry=database, model="digits", durability="sync"
    )
    setup = entry_of(CASES["mask"], "legacy").make()
    manager, _ = federate(setup.clients, setup.tensor_format, setup.initial)
    proxy = next(iter(manager.all().values()))
    answer = FitRes(OK, setup.tensor_format.pack(setup.initial), 3, {})
    assert strategy.aggregate_fit(1, [(proxy, answer)], [])[0] is None
    assert statuses(registry) == ["failed"]


class Masks(FedAvg):
    """A loop that masks what a round gave, before the next one trains it."""

    def start(self, grid, initial_arrays, num_rounds):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            replies = grid.send_and_receive(messages)
            found, _ = self.aggregate_train(current, replies)
            arrays = to_record(
                {
                    name: np.where(np.arange(array.size) == current, -np.inf, array)
                    for name, array in to_arrays(found).items()
                }
            )
        return arrays


def test_what_a_loop_made_of_a_model_was_so_before(database, registry):
    clients = CASES["float64"].clients
    initial = {"w": np.ones(6, np.float32)}
    strategy = RegistryStrategy(Masks(), registry=database, model="digits")
    strategy.start(
        grid=InProcessGrid(clients), initial_arrays=to_record(initial), num_rounds=4
    )
    assert statuses(registry) == ["candidate"] * 4
    assert np.isinf(registry.load("digits")["w"]).sum() == 3


class HostileTrees(XgboostClients):
    """One node's tree leads out of its arrays in round 2."""

    def train(self, node_id, server_round, arrays, config):
        answer = super().train(node_id, server_round, arrays, config)
        if (node_id, server_round) != (NODE_IDS[2], 2):
            return answer
        model = json.loads(answer.arrays["0"].tobytes())
        trees = model["learner"]["gradient_booster"]["model"]["trees"]
        trees[0]["left_children"] = [2**31 - 1]
        text = np.frombuffer(json.dumps(model).encode(), np.uint8)
        return replace(answer, arrays={"0": text})


@BOTH
def test_a_tree_that_leads_out_of_its_arrays_is_rejected(api, database, registry):
    entry = find(f"{api}-FedXgbBagging")
    hostile = Entry(
        entry.name, api, lambda: replace(entry.make(), clients=HostileTrees())
    )
    options = {"registry": database, "model": "digits", "on_error": "raise"}
    play(hostile, Play(wrap=lambda bare: RegistryStrategy(bare, **options)))
    assert statuses(registry) == ["candidate", "failed", "candidate"]
    (error,) = registry.get("digits:1.1.0").validation_errors
    assert "left_children of node 0 is 2147483647" in error
    # What is trained on with has no tree of the rejected round.
    last = json.loads(registry.load("digits:1.2.0")["0"].tobytes())
    model = last["learner"]["gradient_booster"]["model"]
    assert all(each["left_children"] == [-1] for each in model["trees"])
