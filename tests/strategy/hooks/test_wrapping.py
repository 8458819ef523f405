"""The wrapper as an object: what it refuses, copies, and reads from the app."""

import copy
import inspect
import pickle

import pytest
from federation.clients import NumpyClients, floating_model
from federation.in_process_grid import InProcessGrid, to_record
from flwr.app import Context, RecordDict
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
)

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import InvalidNameError, StrategyError, WrapperOrderError
from flwr_registry.strategy.options import RegistryOptions, options_from_run_config


def start(strategy, rounds=2, **options):
    grid = InProcessGrid(NumpyClients())
    return strategy.start(
        grid, to_record(floating_model()), num_rounds=rounds, **options
    )


def context(**run_config):
    return Context(7, 1, {}, RecordDict(), run_config)


class KeywordLoop(FedAvg):
    """Takes what its start gets by name."""

    def start(self, **kwargs):
        """Start as always."""
        return super().start(**kwargs)


@pytest.mark.parametrize("thing", [None, FedAvg, "FedAvg", object()])
def test_only_strategies_can_be_wrapped(thing):
    with pytest.raises(StrategyError, match=r"FedAvg\(\)"):
        RegistryStrategy(thing)


def test_it_is_wrapped_once():
    wrapped = RegistryStrategy(FedAvg())
    with pytest.raises(WrapperOrderError, match="already"):
        RegistryStrategy(wrapped)
    outer = DifferentialPrivacyServerSideFixedClipping(wrapped, 1.0, 1.0, 2)
    with pytest.raises(WrapperOrderError, match="only the outermost"):
        RegistryStrategy(outer)


def test_inside_a_privacy_wrapper_it_refuses_to_train(database):
    wrapped = RegistryStrategy(FedAvg(), registry=database)
    private = DifferentialPrivacyServerSideFixedClipping(wrapped, 1.0, 1.0, 7)
    with pytest.raises(WrapperOrderError, match="Wrap the other way round"):
        start(private)
    with ModelRegistry(database) as registry:
        assert registry.list() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_invalid": "ignore"}, "'reject', 'raise', 'record'"),
        ({"on_error": "ignore"}, "'warn', 'raise'"),
        ({"checkpoint_every": 0}, "from 1 on"),
        ({"checkpoint_every": True}, "from 1 on"),
        ({"checkpoint_every": 1.5}, "from 1 on"),
        ({"model": "../x"}, "cannot name a model"),
        ({"run": "a/b"}, "cannot name a run"),
    ],
)
def test_bad_options_say_what_they_may_be(options, message):
    with pytest.raises(ValueError, match=message):
        RegistryStrategy(FedAvg(), **options)


def test_options_are_by_keyword_only():
    with pytest.raises(TypeError):
        RegistryStrategy(FedAvg(), "sqlite:///x.db")


def test_documented_options_are_the_options():
    parameters = list(inspect.signature(RegistryStrategy.__init__).parameters)[2:]
    documented = [
        name.strip()
        for line in inspect.getdoc(RegistryStrategy).splitlines()
        if " : " in line and not line.startswith(" ")
        for name in line.split(" : ")[0].split(",")
    ]
    assert sorted(documented[1:]) == sorted(parameters)


def test_the_app_s_run_configuration_sets_options(tmp_path, database):
    wrapped = RegistryStrategy.from_context(
        context(
            **{
                "registry-url": database,
                "registry-storage": str(tmp_path / "store"),
                "registry-model": "digits",
                "registry-run": "trial",
                "registry-checkpoint-every": 2,
                "registry-description": "",
                "lr": 0.1,
                "api-token": "secret-value",
            }
        ),
        FedAvg(),
        tags={"site": "x"},
    )
    start(wrapped)
    with ModelRegistry(database, tmp_path / "store") as registry:
        newest = registry.latest("digits")
        assert (newest.version, newest.run_name) == ("1.1.0", "trial")
        assert newest.metadata.tags == {"site": "x"}
        registry.load("digits")
        (run,) = registry.runs()
        assert run.provenance.run_config["lr"] == 0.1
        assert "secret-value" not in repr(run)
    assert (tmp_path / "store/checkpoints/trial/round_000002/COMMITTED").exists()
    assert not (tmp_path / "store/checkpoints/trial/round_000001").exists()


def test_python_goes_before_the_run_configuration(database):
    wrapped = RegistryStrategy.from_context(
        context(**{"registry-model": "other"}),
        FedAvg(),
        registry=database,
        model="mine",
    )
    start(wrapped, rounds=1)
    with ModelRegistry(database) as registry:
        assert registry.models() == ["mine"]


def test_a_misspelt_key_is_named():
    with pytest.raises(ValueError, match=r"registry-modle.*registry-model"):
        RegistryStrategy.from_context(context(**{"registry-modle": "x"}), FedAvg())


@pytest.mark.parametrize(
    ("config", "direction"),
    [
        ({"registry-best-metric": "val_loss"}, "min"),
        ({"registry-best-metric": "accuracy"}, "max"),
        ({"registry-best-metric": "accuracy", "registry-best-mode": "min"}, "min"),
        ({"registry-best-metric": "speed", "registry-best-mode": "max"}, "max"),
    ],
)
def test_the_best_is_by_what_the_name_tells_or_the_user(config, direction):
    options = RegistryOptions(**options_from_run_config(config))
    assert options.best_mode == direction


def test_a_best_metric_of_unknown_direction_is_refused_before_any_round():
    with pytest.raises(ValueError, match=r"set best_mode \(registry-best-mode\) to"):
        RegistryStrategy.from_context(
            context(**{"registry-best-metric": "speed"}), FedAvg()
        )


def test_a_bad_value_in_the_run_configuration_is_named():
    with pytest.raises(InvalidNameError, match="model"):
        RegistryStrategy.from_context(context(**{"registry-model": "a b"}), FedAvg())


@pytest.mark.slow
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it)), copy.copy]
)
@pytest.mark.parametrize("kind", [FedAdam, LegacyFedAvg])
def test_copies_are_wrapped_strategies_of_their_own(kind, duplicate, database):
    strategy = kind()
    strategy.memory = [1]
    wrapped = RegistryStrategy(strategy, registry=database, model="digits")
    other = duplicate(wrapped)
    assert isinstance(other, kind)
    assert isinstance(other, RegistryStrategy)
    other.memory = [2]
    assert wrapped.memory == [1]
    if kind is FedAdam:
        start(other, rounds=1)
        with ModelRegistry(database) as registry:
            assert registry.latest("digits").version == "1.0.0"


def test_one_wrapper_may_run_twice(database):
    wrapped = RegistryStrategy(FedAvg(), registry=database, model="digits", run="trial")
    start(wrapped, rounds=1)
    start(wrapped, rounds=1)
    with ModelRegistry(database) as registry:
        assert [each.version for each in registry.list()] == ["1.1.0", "1.0.0"]
        assert len(registry.runs()) == 2


def test_a_start_that_takes_keywords(database):
    wrapped = RegistryStrategy(KeywordLoop(), registry=database, on_error="raise")
    seen = []
    wrapped.start(
        grid=InProcessGrid(NumpyClients()),
        initial_arrays=to_record(floating_model()),
        num_rounds=1,
        evaluate_fn=lambda server_round, arrays: seen.append(server_round),
    )
    assert seen == [0, 1]
    with ModelRegistry(database) as registry:
        assert registry.latest("digits-app").version == "1.0.0"


def test_a_registry_that_the_user_brings_stays_open(database):
    with ModelRegistry(database) as registry:
        start(RegistryStrategy(FedAvg(), registry=registry), rounds=1)
        assert registry.latest("digits-app").version == "1.0.0"


def test_the_class_is_named_after_the_strategy_s_own():
    made = type(RegistryStrategy(FedAvg()))
    assert (made.__name__, made.__qualname__) == ("FedAvg", "FedAvg")
    assert made.__module__ == FedAvg.__module__
