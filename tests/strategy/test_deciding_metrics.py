"""A metric that decides ends training when it is misspelt, and never otherwise."""

import logging

import numpy as np
import pytest
from federation.clients import NODE_IDS, NumpyClients, floating_model
from federation.faults import Fault, FaultKind
from federation.in_process_grid import InProcessGrid, to_record
from federation.legacy_clients import NumpyFormat
from federation.legacy_federation import OrderedServer, federate
from flwr.app import MetricRecord
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.checkpointing import OnImprovement
from flwr_registry.errors import MetricNotMeasuredError

ROUNDS = 4

deciding = pytest.mark.parametrize(
    "how",
    [
        lambda name: {"best_metric": name, "best_mode": "max"},
        lambda name: {"checkpoint_every": OnImprovement(name, "max")},
    ],
    ids=["best_metric", "OnImprovement"],
)


def run_message(strategy, *, evaluate_fn=None, faults=()):
    grid = InProcessGrid(NumpyClients(), faults=faults)
    strategy.start(
        grid,
        to_record(floating_model()),
        num_rounds=ROUNDS,
        evaluate_fn=evaluate_fn,
    )


def run_legacy(wrap, evaluate_fn=None, **options):
    model = floating_model()
    tensors = NumpyFormat(tuple(model))
    manager, _ = federate(NumpyClients(), tensors, model)
    strategy = wrap(
        LegacyFedAvg(
            initial_parameters=tensors.pack(model), evaluate_fn=evaluate_fn, **options
        )
    )
    OrderedServer(client_manager=manager, strategy=strategy).fit(ROUNDS, timeout=None)


def only_in(*rounds):
    def evaluate(server_round, *_):
        if server_round not in rounds:
            return None
        return MetricRecord({"auc": 0.5 + server_round / 100})

    return evaluate


@deciding
@pytest.mark.parametrize(
    ("rounds", "fraction"), [((2, 4), 0.0), ((0, 2), 1.0), ((0,), 0.0), ((), 1.0)]
)
def test_a_metric_of_some_rounds_ends_nothing(rounds, fraction, how, database, caplog):
    strategy = FedAvg(fraction_evaluate=fraction)
    wrapped = RegistryStrategy(strategy, registry=database, **how("auc"))
    with caplog.at_level(logging.WARNING, "flwr"):
        run_message(wrapped, evaluate_fn=only_in(*rounds))
    missing = [each for each in caplog.messages if "'auc'" in each]
    assert len(missing) == (0 if 0 in rounds else 1 if rounds else 2)
    if not rounds:
        assert "never measured" in missing[-1]
    with ModelRegistry(database) as registry:
        assert len(registry.list()) == ROUNDS


@deciding
def test_a_round_whose_evaluations_all_fail_ends_nothing(how, database):
    faults = [
        Fault(1, node_id, FaultKind.NO_REPLY, also_evaluating=True)
        for node_id in NODE_IDS[1:]
    ] + [Fault(1, NODE_IDS[0], FaultKind.ERROR, also_evaluating=True)]
    wrapped = RegistryStrategy(FedAvg(), registry=database, **how("eval_acc"))
    run_message(wrapped, faults=faults)


@deciding
def test_a_name_that_no_evaluation_knows_ends_training(how, database):
    wrapped = RegistryStrategy(FedAvg(), registry=database, **how("eval_ac"))
    with pytest.raises(MetricNotMeasuredError, match="did you mean eval_acc"):
        run_message(wrapped)
    wrapped = RegistryStrategy(FedAvg(), registry=database, **how("aucc"))
    with pytest.raises(MetricNotMeasuredError, match="did you mean auc"):
        run_message(wrapped, evaluate_fn=only_in(0, 1, 2))


def test_a_metric_of_training_counts(database):
    run_message(RegistryStrategy(FedAvg(), registry=database, best_metric="train_loss"))


def mean(metrics):
    return {"eval_acc": sum(m["eval_acc"] for _, m in metrics) / len(metrics)}


@pytest.mark.slow
@deciding
def test_legacy_names_are_looked_for_in_what_there_is(how, database):
    def wrap(strategy):
        return RegistryStrategy(strategy, registry=database, **how("eval_ac"))

    with pytest.raises(MetricNotMeasuredError, match="did you mean eval_acc"):
        run_legacy(wrap, evaluate_metrics_aggregation_fn=mean)

    def every_second(server_round, *_):
        return (0.5, {"eval_ac": 0.5}) if server_round == 2 else None

    run_legacy(wrap, every_second, evaluate_metrics_aggregation_fn=mean)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.array])
def test_numbers_of_numpy_are_measured(kind, database):
    def evaluate(server_round, *_):
        return kind(0.5), {"acc": kind(0.5 + server_round / 100)}

    run_legacy(
        lambda strategy: RegistryStrategy(
            strategy, registry=database, best_metric="acc", on_error="raise"
        ),
        evaluate,
        fraction_evaluate=0.0,
    )
    with ModelRegistry(database) as registry:
        assert registry.get("digits-app@best").version == "1.3.0"


@pytest.mark.slow
def test_the_best_goes_to_the_best_by_the_metric_of_the_present_run(database):
    def measuring(**values):
        return lambda number, _: MetricRecord(
            {name: value + number / 100 for name, value in values.items()}
        )

    def train(run, metric, **values):
        options = {"registry": database, "model": "digits", "best_metric": metric}
        run_message(
            RegistryStrategy(FedAvg(fraction_evaluate=0.0), run=run, **options),
            evaluate_fn=measuring(**values),
        )

    train("first", "accuracy", accuracy=0.5)
    train("second", "f1", f1=0.1)
    with ModelRegistry(database) as registry:
        best = registry.get("digits@best")
        assert (best.run_name, best.server_round) == ("second", ROUNDS)
