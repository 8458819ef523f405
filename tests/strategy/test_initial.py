"""Runs that start from a version, and the same command given again."""

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from federation.legacy_federation import OrderedServer, federate
from federation.outcome import Play, play
from federation.reshaping import RESHAPING, entry_of
from flwr.app import ConfigRecord
from flwr.common import ndarrays_to_parameters
from flwr.server import strategy as legacy
from flwr.serverapp.strategy import FedAvg
from strategy.test_reshaping import recorded
from strategy.test_resume import line

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import ResumeError, ValidationError

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("api", ["message", "legacy"])
CASES = {case.name: case for case in RESHAPING}
START = "models:/digits@production"
TUNED = {"run": "tuned", "initial": START}


def opened(folder):
    return ModelRegistry(folder / "registry.db")


def numbers(folder, run="tuned"):
    with opened(folder) as registry:
        found = registry.list("digits", run=run)[::-1]
        assert {each.status.value for each in found} <= {"candidate"}
        return [each.version for each in found]


def trained(folder, name, api):
    """Train two rounds, of which the second is in production then."""
    recorded(entry_of(CASES[name], api), folder, rounds=2, run="first")
    with opened(folder) as registry:
        registry.promote("digits:1.1.0")
        return registry.load("digits@production")


def forget_architecture(folder, fingerprint=None):
    """Make checkpoints what earlier releases wrote."""
    for manifest in Path(folder).rglob("manifest.json"):
        fields = json.loads(manifest.read_bytes())
        del fields["architecture"], fields["is_settled"]
        fields["fingerprint"] = fingerprint or fields["fingerprint"]
        data = json.dumps(fields).encode()
        manifest.write_bytes(data)
        marker = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (manifest.parent / "COMMITTED").write_text(json.dumps(marker))


MINORS, PATCHES = ["1.2.0", "1.3.0", "1.4.0"], ["1.1.1", "1.1.2", "1.1.3"]


@pytest.mark.parametrize(
    ("api", "origin", "then", "bump", "expected"),
    [
        ("message", "FedAdam", "mask", None, MINORS),
        ("legacy", "FedAdam", "mask", "patch", PATCHES),
        ("message", "counter", "Krum", "patch", PATCHES),
        ("legacy", "counter", "Krum", None, MINORS),
        ("message", "FedAdam", "mask", "patch", PATCHES),
        ("message", "private", "FedAdam", "patch", PATCHES),
        ("legacy", "FedAdam", "FedAdam", None, MINORS),
        ("legacy", "private", "QFedAvg", None, MINORS),
        ("message", "counter", "counter", None, MINORS),
    ],
)
def test_a_version_that_arithmetic_widened_is_trained_on(
    api, origin, then, bump, expected, tmp_path
):
    trained(tmp_path, origin, api)
    own, other = CASES[origin], CASES[then]
    case = replace(own, clients=other.clients) if then == "Krum" else own
    case = replace(
        case,
        message_strategy=other.message_strategy,
        legacy_strategy=other.legacy_strategy,
    )
    recorded(entry_of(case, api), tmp_path, rounds=3, bump=bump, **TUNED)
    assert numbers(tmp_path) == expected
    with opened(tmp_path) as registry:
        prints = {each.fingerprint for each in registry.list("digits")}
        assert registry.get(f"digits:{expected[0]}").parent_version == "1.1.0"
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("message", "FedAdam"),
        ("legacy", "counter"),
        ("legacy", "FedAdam"),
        ("legacy", "QFedAvg"),
        ("message", "counter"),
        ("message", "with_control"),
    ],
)
def test_the_same_command_given_again_goes_on(api, name, tmp_path):
    for folder in ("whole", "parts"):
        trained(tmp_path / folder, name, api)
    entry = entry_of(CASES[name], api)
    whole = recorded(entry, tmp_path / "whole", **TUNED, resume="auto")
    parts = tmp_path / "parts"
    recorded(entry, parts, rounds=2, **TUNED, resume="auto")
    found = recorded(entry, parts, **TUNED, resume="auto")
    assert (found.arrays, found.metrics) == (whole.arrays, whole.metrics)
    assert line(parts) == line(tmp_path / "whole")
    assert numbers(parts) == ["1.2.0", "1.3.0", "1.4.0", "1.5.0"]


@BOTH
def test_nodes_get_the_bytes_of_the_version(api, tmp_path):
    weights = trained(tmp_path, "FedAdam", api)
    assert {each.dtype for each in weights.values()} == {np.dtype(np.float64)}
    seen = {}

    class Clients(type(CASES["FedAdam"].clients)):
        def train(self, node_id, server_round, arrays, config):
            seen.setdefault(server_round, arrays)
            return super().train(node_id, server_round, arrays, config)

    case = CASES["FedAdam"]
    watched = replace(case, clients=Clients("f4"))
    recorded(entry_of(watched, api), tmp_path, rounds=1, **TUNED)
    assert len(seen[1]) == len(weights)
    for sent, array in zip(seen[1].values(), weights.values(), strict=True):
        assert sent.dtype == array.dtype
        np.testing.assert_array_equal(sent, array)


@BOTH
def test_another_architecture_is_a_major_and_no_version_is_lost(api, tmp_path, caplog):
    trained(tmp_path, "mask", api)
    entry = entry_of(CASES["halves"], api)
    recorded(entry, tmp_path, rounds=3, **TUNED, bump="patch")
    assert numbers(tmp_path) == ["2.0.0", "2.0.1", "2.0.2"]
    told = [each for each in caplog.records if "not as a patch version" in each.message]
    assert [each.levelno for each in told] == [logging.WARNING]
    assert "round 1 is registered as digits:2.0.0" in told[0].message
    with opened(tmp_path) as registry:
        assert registry.get("digits:2.0.0").parent_version == "1.1.0"
        with pytest.raises(ValidationError, match="leave the bump out"):
            registry.register({"w": np.ones(2)}, model="digits", bump="patch")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (legacy.FedAdam, 0),
        (legacy.FedAvgM, 1),
        (legacy.FedAdam, 1),
        (legacy.FedYogi, 0),
        (legacy.FedAdagrad, 1),
        (legacy.FedAvgM, 0),
    ],
)
def test_a_strategy_that_holds_the_model_itself_starts_from_the_version(
    kind, value, tmp_path
):
    setup = entry_of(CASES["mask"], "legacy").make()
    own = [np.full(each.shape, value, "f4") for each in setup.initial.values()]
    version = {str(i): np.full_like(each, 50) for i, each in enumerate(own)}
    options = {"server_momentum": 0.9} if kind is legacy.FedAvgM else {}
    with opened(tmp_path) as registry:
        registry.register(version, model="digits")
        strategy = RegistryStrategy(
            kind(initial_parameters=ndarrays_to_parameters(own), **options),
            registry=registry,
            model="digits",
            initial="digits:1.0.0",
        )
        manager, _ = federate(setup.clients, setup.tensor_format, {})
        server = OrderedServer(client_manager=manager, strategy=strategy)
        server.fit(2, timeout=None)
        weights = registry.load("digits:1.2.0")
    for array in weights.values():
        np.testing.assert_allclose(array, 50, atol=2)


def test_a_loop_that_holds_its_own_model_trains_the_version(tmp_path):
    weights = trained(tmp_path, "float64", "message")
    setup = entry_of(CASES["float64"], "message").make()
    grid = InProcessGrid(setup.clients)
    strategy = RegistryStrategy(
        FedAvg(), registry=tmp_path / "registry.db", model="digits", **TUNED
    )
    arrays = to_record(setup.initial)
    messages = strategy.configure_train(1, arrays, ConfigRecord(), grid)
    sent = next(iter(messages)).content.array_records
    for name, array in to_arrays(next(iter(sent.values()))).items():
        np.testing.assert_array_equal(array, weights[name])


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("message", "FedAdam"),
        ("legacy", "QFedAvg"),
        ("message", "counter"),
        ("legacy", "FedAdam"),
        ("legacy", "counter"),
    ],
)
def test_a_checkpoint_of_an_earlier_release_goes_on(api, name, tmp_path):
    entry = entry_of(CASES[name], api, asks_a_node=name != "FedAdam")
    bare = play(entry, Play(rounds=4))
    recorded(entry, tmp_path, rounds=2)
    forget_architecture(tmp_path)
    found = recorded(entry, tmp_path, resume=True)
    assert (found.arrays, found.metrics) == (bare.arrays, bare.metrics)
    assert numbers(tmp_path, "trial") == ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
    again = recorded(entry, tmp_path, rounds=5, resume=True)
    assert again.arrays != found.arrays


@BOTH
def test_one_of_a_run_from_a_version_goes_on_too(api, tmp_path):
    trained(tmp_path, "FedAdam", api)
    entry = entry_of(CASES["FedAdam"], api)
    recorded(entry, tmp_path, rounds=2, **TUNED)
    # Earlier releases kept what the version looked like, not what the app gave.
    forget_architecture(tmp_path, fingerprint="0" * 64)
    recorded(entry, tmp_path, rounds=3, **TUNED, resume=True)
    recorded(entry, tmp_path, rounds=4, **TUNED, resume=True)
    assert numbers(tmp_path) == ["1.2.0", "1.3.0", "1.4.0", "1.5.0"]


@BOTH
@pytest.mark.parametrize("options", [{}, {"initial": START}])
def test_an_app_that_gives_another_model_than_at_first_is_refused(
    api, options, tmp_path
):
    trained(tmp_path, "FedAdam", api)
    recorded(entry_of(CASES["FedAdam"], api), tmp_path, rounds=2, **options)
    case = CASES["FedAdam"]
    other = replace(
        case, initial=lambda: {**case.initial(), "new": np.ones(2, np.float32)}
    )
    with pytest.raises(ResumeError, match="the initial model differs"):
        recorded(entry_of(other, api), tmp_path, **options, resume=True)
