"""Every message API strategy that a run may have, as a named entry."""

from collections.abc import Callable
from typing import Any

from flwr.serverapp import strategy as stock
from flwr.serverapp.strategy import FedAdam, FedAvg, Strategy

from federation import user_strategies as user
from federation.accountant import LinearAccountant
from federation.clients import (
    NODE_IDS,
    Arrays,
    NumpyClients,
    XgboostClients,
    floating_model,
    model_with_counter,
    xgboost_model,
)
from federation.entries import Entry, MessageSetup

__all__ = ["MESSAGE_ENTRIES"]

Model = Callable[[], Arrays]
ALL = len(NODE_IDS)


def _entry(name: str, make: Callable[[], Strategy], model: Model, **kind: Any) -> Entry:
    return Entry(name, "message", lambda: MessageSetup(make(), model()), **kind)


def _xgboost(name: str, make: Callable[[], Strategy]) -> Entry:
    def setup() -> MessageSetup:
        return MessageSetup(make(), xgboost_model(), XgboostClients())

    return Entry(name, "message", setup)


def _accounted() -> MessageSetup:
    accountant = LinearAccountant(population_size=ALL)
    strategy = stock.DifferentialPrivacyServerSideFixedClipping(
        FedAvg(), 0.8, 1.0, ALL, accountant=accountant
    )
    return MessageSetup(strategy, floating_model(), NumpyClients(equal_examples=True))


_STOCK = [
    _entry("FedAvg", FedAvg, model_with_counter),
    _entry(
        "FedAvg-sampling",
        lambda: FedAvg(fraction_train=0.5, fraction_evaluate=0.3, min_train_nodes=3),
        model_with_counter,
    ),
    _entry(
        "FedAvg-no-evaluation", lambda: FedAvg(fraction_evaluate=0.0), floating_model
    ),
    _entry("FedProx", lambda: stock.FedProx(proximal_mu=0.1), model_with_counter),
    _entry("FedMedian", stock.FedMedian, model_with_counter),
    _entry("FedTrimmedAvg", stock.FedTrimmedAvg, model_with_counter),
    _entry("FedAdam", FedAdam, model_with_counter),
    _entry("FedYogi", stock.FedYogi, model_with_counter),
    _entry("FedAdagrad", stock.FedAdagrad, model_with_counter),
    _entry(
        "FedAvgM",
        lambda: stock.FedAvgM(server_learning_rate=0.5, server_momentum=0.9),
        model_with_counter,
    ),
    _entry("Krum", lambda: stock.Krum(num_malicious_nodes=1), model_with_counter),
    _entry(
        "MultiKrum",
        lambda: stock.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=3),
        model_with_counter,
    ),
    _entry("Bulyan", lambda: stock.Bulyan(num_malicious_nodes=1), model_with_counter),
    _entry("QFedAvg", lambda: stock.QFedAvg(0.1), floating_model),
    _xgboost("FedXgbBagging", stock.FedXgbBagging),
    _xgboost("FedXgbCyclic", stock.FedXgbCyclic),
]

_PRIVATE = [
    _entry(
        "DifferentialPrivacyServerSideFixedClipping",
        lambda: stock.DifferentialPrivacyServerSideFixedClipping(
            FedAvg(), 0.5, 1.0, ALL
        ),
        floating_model,
    ),
    _entry(
        "DifferentialPrivacyServerSideFixedClipping-FedAdam",
        lambda: stock.DifferentialPrivacyServerSideFixedClipping(
            FedAdam(), 0.5, 1.0, ALL
        ),
        floating_model,
    ),
    Entry(
        "DifferentialPrivacyServerSideFixedClipping-accountant", "message", _accounted
    ),
    _entry(
        "DifferentialPrivacyClientSideFixedClipping",
        lambda: stock.DifferentialPrivacyClientSideFixedClipping(
            FedAvg(), 0.5, 1.0, ALL
        ),
        floating_model,
    ),
    _entry(
        "DifferentialPrivacyServerSideAdaptiveClipping",
        lambda: stock.DifferentialPrivacyServerSideAdaptiveClipping(FedAvg(), 0.3, ALL),
        floating_model,
    ),
    _entry(
        "DifferentialPrivacyClientSideAdaptiveClipping",
        lambda: stock.DifferentialPrivacyClientSideAdaptiveClipping(FedAvg(), 0.3, ALL),
        floating_model,
    ),
]


def _set_save_path(strategy: user.OwnLoop) -> None:
    strategy.set_save_path("outputs/first")


def _set_patience(strategy: user.DynamicAttributes) -> None:
    strategy.patience = 7


_USER = [
    _entry("OwnLoop", user.OwnLoop, model_with_counter, prepare=_set_save_path),
    _entry("MutatesItsState", user.MutatesItsState, model_with_counter),
    _entry("EvaluatesItself", user.EvaluatesItself, model_with_counter),
    _entry("ConfiguresEachNode", user.ConfiguresEachNode, model_with_counter),
    _entry("SometimesNothing", user.SometimesNothing, model_with_counter),
    _entry("LazyMessages", user.LazyMessages, model_with_counter),
    _entry(
        "DynamicAttributes",
        lambda: user.DynamicAttributes(schedule="cosine"),
        model_with_counter,
        prepare=_set_patience,
    ),
    _entry("Composition", lambda: user.Composition(FedAdam(), 2.0), model_with_counter),
]

MESSAGE_ENTRIES = (*_STOCK, *_PRIVATE, *_USER)
