"""Every legacy strategy that a run may have, as a named entry."""

from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.common import NDArrays, Scalar
from flwr.server import strategy as stock
from flwr.server.strategy import FedAdam, FedAvg, Strategy
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

from federation import legacy_user_strategies as user
from federation.clients import (
    NODE_IDS,
    Arrays,
    XgboostClients,
    floating_model,
    model_with_counter,
    xgboost_model,
)
from federation.entries import Entry, LegacySetup
from federation.legacy_clients import (
    AndroidFormat,
    ForestFormat,
    NumpyFormat,
    RawFormat,
)

__all__ = ["LEGACY_ENTRIES", "options_for"]

ALL = len(NODE_IDS)
Metrics = list[tuple[int, dict[str, Scalar]]]
Options = dict[str, Any]


def _mean(metrics: Metrics) -> dict[str, Scalar]:
    total = sum(examples for examples, _ in metrics)
    sums: dict[str, float] = {}
    for examples, named in metrics:
        for name, value in named.items():
            sums[name] = sums.get(name, 0.0) + examples * float(value) / total
    return dict(sums)


def _absolute_sum(
    server_round: int, arrays: NDArrays, config: dict[str, Scalar]
) -> tuple[float, dict[str, Scalar]]:
    total = float(sum(np.abs(array).sum() for array in arrays))
    return total, {"central_accuracy": 1.0 / (1.0 + total)}


def options_for(model: Arrays) -> Options:
    """Return what an app gives a strategy beside its own parameters."""
    return {
        "initial_parameters": NumpyFormat(tuple(model)).pack(model),
        "evaluate_fn": _absolute_sum,
        "on_fit_config_fn": lambda server_round: {"server-round": server_round},
        "fit_metrics_aggregation_fn": _mean,
        "evaluate_metrics_aggregation_fn": _mean,
    }


def _entry(
    name: str,
    make: Callable[[Options], Strategy],
    model: Callable[[], Arrays] = model_with_counter,
    **kind: Any,
) -> Entry:
    def setup() -> LegacySetup:
        initial = model()
        return LegacySetup(
            make(options_for(initial)), initial, NumpyFormat(tuple(initial))
        )

    return Entry(name, "legacy", setup, **kind)


def _private(name: str, make: Callable[[Strategy], Strategy]) -> Entry:
    return _entry(name, lambda options: make(FedAvg(**options)), floating_model)


def _xgboost(name: str, make: Callable[..., Strategy]) -> Entry:
    def setup() -> LegacySetup:
        model = xgboost_model()
        strategy = make(
            initial_parameters=RawFormat().pack(model),
            evaluate_metrics_aggregation_fn=_mean,
        )
        return LegacySetup(strategy, model, RawFormat(), XgboostClients())

    return Entry(name, "legacy", setup)


def _android() -> LegacySetup:
    model = {
        name: array.ravel().astype(np.float32)
        for name, array in floating_model().items()
    }
    tensors = AndroidFormat(tuple(model))
    strategy = stock.FedAvgAndroid(
        initial_parameters=tensors.pack(model), evaluate_fn=_absolute_sum
    )
    return LegacySetup(strategy, model, tensors)


def _forest() -> LegacySetup:
    model = floating_model()
    initial = NumpyFormat(tuple(model)).pack(model)
    strategy = stock.FedXgbNnAvg(
        initial_parameters=initial, fit_metrics_aggregation_fn=_mean
    )
    return LegacySetup(strategy, model, ForestFormat(tuple(model)))


def _in_workflow(
    name: str,
    make: Callable[[], DefaultWorkflow],
    *left_out: str,
    secure: bool = False,
) -> Entry:
    def setup() -> LegacySetup:
        model = floating_model() if secure else model_with_counter()
        tensors = NumpyFormat(tuple(model))
        strategy = FedAvg(**_without(options_for(model), *left_out))
        return LegacySetup(strategy, model, tensors, workflow=make(), secure=secure)

    return Entry(name, "legacy", setup)


def _without(options: Options, *names: str) -> Options:
    return {name: value for name, value in options.items() if name not in names}


_STOCK = [
    _entry("FedAvg", lambda options: FedAvg(**options)),
    _entry(
        "FedAvg-sampling",
        lambda options: FedAvg(fraction_fit=0.5, fraction_evaluate=0.3, **options),
    ),
    _entry(
        "FedAvg-parameters-from-a-node",
        lambda options: FedAvg(**_without(options, "initial_parameters")),
    ),
    _entry(
        "FedAvg-strict",
        lambda options: FedAvg(accept_failures=False, inplace=False, **options),
    ),
    _entry("FedProx", lambda options: stock.FedProx(proximal_mu=0.1, **options)),
    _entry("FedMedian", lambda options: stock.FedMedian(**options)),
    _entry("FedTrimmedAvg", lambda options: stock.FedTrimmedAvg(**options)),
    _entry("FaultTolerantFedAvg", lambda options: stock.FaultTolerantFedAvg(**options)),
    _entry("FedOpt", lambda options: stock.FedOpt(**options)),
    _entry("FedAdam", lambda options: FedAdam(**options)),
    _entry("FedYogi", lambda options: stock.FedYogi(**options)),
    _entry("FedAdagrad", lambda options: stock.FedAdagrad(**options)),
    _entry(
        "FedAvgM",
        lambda options: stock.FedAvgM(
            server_learning_rate=0.5, server_momentum=0.9, **options
        ),
    ),
    _entry("Krum", lambda options: stock.Krum(num_malicious_clients=1, **options)),
    _entry(
        "Krum-keeping-several",
        lambda options: stock.Krum(
            num_malicious_clients=1, num_clients_to_keep=3, **options
        ),
    ),
    _entry(
        "Bulyan",
        lambda options: stock.Bulyan(num_malicious_clients=1, to_keep=0, **options),
        floating_model,
    ),
    _entry("QFedAvg", lambda options: stock.QFedAvg(**options), floating_model),
    Entry("FedAvgAndroid", "legacy", _android),
    Entry("FedXgbNnAvg", "legacy", _forest, unregistrable=True),
    _xgboost("FedXgbBagging", stock.FedXgbBagging),
    _xgboost("FedXgbCyclic", stock.FedXgbCyclic),
]

_PRIVATE = [
    _private("DPFedAvgFixed", lambda inner: stock.DPFedAvgFixed(inner, ALL, 1.0, 0.5)),
    _private(
        "DPFedAvgAdaptive",
        lambda inner: stock.DPFedAvgAdaptive(inner, ALL, noise_multiplier=0.3),
    ),
    _private(
        "DifferentialPrivacyServerSideFixedClipping",
        lambda inner: stock.DifferentialPrivacyServerSideFixedClipping(
            inner, 0.5, 1.0, ALL
        ),
    ),
    _entry(
        "DifferentialPrivacyServerSideFixedClipping-FedAdam",
        lambda options: stock.DifferentialPrivacyServerSideFixedClipping(
            FedAdam(**options), 0.5, 1.0, ALL
        ),
        floating_model,
    ),
    _private(
        "DifferentialPrivacyClientSideFixedClipping",
        lambda inner: stock.DifferentialPrivacyClientSideFixedClipping(
            inner, 0.5, 1.0, ALL
        ),
    ),
    _private(
        "DifferentialPrivacyServerSideAdaptiveClipping",
        lambda inner: stock.DifferentialPrivacyServerSideAdaptiveClipping(
            inner, 0.3, ALL
        ),
    ),
    _private(
        "DifferentialPrivacyClientSideAdaptiveClipping",
        lambda inner: stock.DifferentialPrivacyClientSideAdaptiveClipping(
            inner, 0.3, ALL
        ),
    ),
]


def _set_stop_round(strategy: Strategy) -> None:
    vars(strategy)["stop_round"] = 3


_USER = [
    _entry("MutatesItsState", lambda options: user.LegacyMutatesItsState(**options)),
    _entry("EvaluatesItself", lambda options: user.LegacyEvaluatesItself(**options)),
    _entry(
        "ConfiguresEachNode",
        lambda options: user.LegacyConfiguresEachNode(**options),
        prepare=_set_stop_round,
    ),
    _entry("SometimesNothing", lambda options: user.LegacySometimesNothing(**options)),
    _entry(
        "DynamicAttributes",
        lambda options: user.LegacyDynamicAttributes(
            schedule="cosine", **_without(options, "on_fit_config_fn")
        ),
    ),
    _entry("Composition", lambda options: user.LegacyComposition(FedAdam(**options))),
]

_WORKFLOWS = [
    _in_workflow("DefaultWorkflow", DefaultWorkflow),
    _in_workflow(
        "DefaultWorkflow-parameters-from-a-node", DefaultWorkflow, "initial_parameters"
    ),
    _in_workflow(
        "SecAggPlusWorkflow",
        lambda: DefaultWorkflow(fit_workflow=SecAggPlusWorkflow(3, 2)),
        secure=True,
    ),
]

LEGACY_ENTRIES = (*_STOCK, *_PRIVATE, *_USER, *_WORKFLOWS)
