"""What a resumed run sends first, and what it hands back of fewer rounds."""

import logging
import random

import numpy as np
import pytest
from federation.catalogue import find
from federation.clients import NumpyClients
from federation.faults import Fault, FaultKind
from federation.in_process_grid import InProcessGrid, to_arrays, to_record
from federation.legacy_clients import NumpyFormat
from federation.legacy_federation import OrderedServer, federate
from federation.outcome import Play, play
from flwr.app import ConfigRecord
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import strategy as legacy
from flwr.serverapp.strategy import FedAvg
from strategy.test_resume import line

from flwr_registry import ModelRegistry, RegistryStrategy
from flwr_registry.errors import ResumeError
from flwr_registry.strategy.resume.resumed_model import sketch_of

pytestmark = pytest.mark.slow

MODEL = {"w": np.zeros(4, np.float32), "b": np.zeros(2, np.float32)}
OTHER = {"w": np.ones(4, np.float32), "b": np.ones(2, np.float32)}


def wrapped(folder, strategy, **options):
    given = {"run": "trial", "resume": "auto", "model": "digits", "on_error": "raise"}
    return RegistryStrategy(
        strategy, registry=str(folder / "registry.db"), **{**given, **options}
    )


def start(folder, strategy, rounds, *, arrays=MODEL, faults=(), **options):
    """Run a message strategy; return Flower's result and what was sent."""
    random.seed(3)
    grid = InProcessGrid(NumpyClients(), faults=faults)
    result = wrapped(folder, strategy, **options).start(
        grid=grid, initial_arrays=to_record(arrays), num_rounds=rounds
    )
    return result, grid.sent


def serve(folder, strategy, rounds, server=OrderedServer, **options):
    """Run a legacy strategy; return the server and its history."""
    random.seed(3)
    manager, _ = federate(NumpyClients(), NumpyFormat(tuple(MODEL)), MODEL)
    given = wrapped(folder, strategy, **options)
    made = server(client_manager=manager, strategy=given)
    history, _ = made.fit(rounds, timeout=None)
    return made, history


def fed_avg(kind=legacy.FedAvg, model=MODEL, **options):
    mean = lambda metrics: {"loss": sum(m["train_loss"] for _, m in metrics)}  # noqa: E731
    return kind(
        initial_parameters=ndarrays_to_parameters(list(model.values())),
        fit_metrics_aggregation_fn=mean,
        **options,
    )


def weights_of(folder, reference):
    with ModelRegistry(folder / "registry.db") as registry:
        return list(registry.load(reference).values())


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "legacy-DefaultWorkflow",
        "legacy-DefaultWorkflow-parameters-from-a-node",
        "legacy-SecAggPlusWorkflow",
    ],
)
def test_a_workflow_goes_on_with_the_checkpoints_model(name, tmp_path):
    def run(folder, rounds):
        def wrap(strategy):
            return wrapped(folder, strategy, model=None)

        return play(find(name), Play(rounds=rounds, wrap=wrap))

    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 1)
    run(tmp_path / "parts", 2)
    parts = run(tmp_path / "parts", 4)
    assert parts.arrays == whole.arrays
    assert parts.metrics == whole.metrics
    assert parts.random_state == whole.random_state
    assert parts.sent == whole.sent[-len(parts.sent) :]
    assert line(tmp_path / "parts") == line(tmp_path / "whole")


class Cautious(OrderedServer):
    """Asks for no aggregate of fewer than two clients."""

    def fit_round(self, server_round, timeout):
        instructions = self.strategy.configure_fit(
            server_round=server_round,
            parameters=self.parameters,
            client_manager=self._client_manager,
        )
        if len(instructions) < 2:
            return None
        results, failures = self._collect(
            instructions,
            lambda proxy, ins: proxy.fit(ins, timeout=timeout, group_id=server_round),
        )
        aggregate = self.strategy.aggregate_fit(server_round, results, failures)
        return *aggregate, (results, failures)


def test_a_server_that_asks_for_no_aggregate_goes_on_and_its_history_is_whole(tmp_path):
    server, history = serve(tmp_path / "whole", fed_avg(), 4, Cautious)
    serve(tmp_path / "parts", fed_avg(), 2, Cautious)
    again, resumed = serve(tmp_path / "parts", fed_avg(), 4, Cautious)
    assert again.parameters == server.parameters
    assert vars(resumed) == vars(history)


class Silent(Cautious):
    """Keeps its history where nobody sees it."""

    def fit(self, num_rounds, timeout):
        self.asked, rounds = num_rounds, num_rounds
        del num_rounds
        self.parameters = self._get_initial_parameters(0, timeout)
        self.strategy.evaluate(0, parameters=self.parameters)
        for current in range(1, rounds + 1):
            fitted = self.fit_round(current, timeout)
            self.parameters = (fitted and fitted[0]) or self.parameters
            self.strategy.evaluate(current, parameters=self.parameters)
            self.evaluate_round(current, timeout)
        return None, 0.0


def test_a_history_that_cannot_be_reached_is_told(tmp_path, caplog):
    serve(tmp_path, fed_avg(), 2, Silent)
    with caplog.at_level(logging.WARNING, "flwr"):
        serve(tmp_path, fed_avg(), 3, Silent)
    assert "round 1 is done" in caplog.text
    assert "lacks its training metrics" in caplog.text


class OwnModel(Silent):
    """Holds a model of its own from the first, and never asks the strategy for one."""

    def _get_initial_parameters(self, server_round, timeout):
        return ndarrays_to_parameters(list(MODEL.values()))


def test_the_checkpoints_model_stands_for_one_that_a_server_holds(tmp_path):
    server, _ = serve(tmp_path / "whole", fed_avg(), 4, OwnModel)
    serve(tmp_path / "parts", fed_avg(), 2, OwnModel)
    again, _ = serve(tmp_path / "parts", fed_avg(), 4, OwnModel)
    assert again.parameters == server.parameters
    assert line(tmp_path / "parts") == line(tmp_path / "whole")


class Impatient(FedAvg):
    """A loop of the user's own that skips what nobody answered."""

    def start(self, grid, initial_arrays, num_rounds):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            replies = list(grid.send_and_receive(messages))
            if replies:
                aggregated, _ = self.aggregate_train(current, replies)
                arrays = aggregated or arrays
            messages = self.configure_evaluate(current, arrays, ConfigRecord(), grid)
            self.aggregate_evaluate(current, grid.send_and_receive(messages))
        return arrays


def test_a_loop_that_skips_silent_rounds_goes_on_with_the_checkpoints_model(tmp_path):
    whole, _ = start(tmp_path / "whole", Impatient(), 4)
    start(tmp_path / "parts", Impatient(), 2)
    parts, _ = start(tmp_path / "parts", Impatient(), 4)
    assert same(to_arrays(parts).values(), to_arrays(whole).values())


class Rounding(FedAvg):
    """A loop of the user's own that changes what each round gave."""

    def start(self, grid, initial_arrays, num_rounds):
        arrays = initial_arrays
        for current in range(1, num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            arrays, _ = self.aggregate_train(current, grid.send_and_receive(messages))
            halved = {name: each / 2 for name, each in to_arrays(arrays).items()}
            arrays = to_record(halved)
            messages = self.configure_evaluate(current, arrays, ConfigRecord(), grid)
            self.aggregate_evaluate(current, grid.send_and_receive(messages))
        return arrays


def test_what_a_loop_makes_of_the_model_is_what_it_sends(tmp_path):
    whole, sent = start(tmp_path / "whole", Rounding(), 4)
    start(tmp_path / "parts", Rounding(), 2)
    parts, sent_again = start(tmp_path / "parts", Rounding(), 4)
    assert same(to_arrays(parts).values(), to_arrays(whole).values())
    assert sent_again == sent[-len(sent_again) :]


class Adding(OrderedServer):
    """Takes what a round gives for a step, and adds it to its own model."""

    def fit_round(self, server_round, timeout):
        fitted = super().fit_round(server_round, timeout)
        step, metrics, replies = fitted
        if step is None:
            return fitted
        steps = parameters_to_ndarrays(step)
        own = parameters_to_ndarrays(self.parameters)
        scale = self.scale(replies[0])
        new = [each + scale * step for each, step in zip(own, steps, strict=True)]
        return ndarrays_to_parameters(new), metrics, replies

    def scale(self, results):
        return np.float32(0.5)


class Counting(Adding):
    """Needs the replies for it."""

    def scale(self, results):
        return np.float32(len(results) / 7)


def test_what_a_server_makes_of_each_model_it_makes_again(tmp_path):
    server, history = serve(tmp_path / "whole", fed_avg(), 4, Adding)
    serve(tmp_path / "parts", fed_avg(), 1, Adding)
    serve(tmp_path / "parts", fed_avg(), 2, Adding)
    again, resumed = serve(tmp_path / "parts", fed_avg(), 4, Adding)
    assert again.parameters == server.parameters
    assert vars(resumed) == vars(history)


def test_what_a_server_cannot_make_again_is_refused(tmp_path):
    serve(tmp_path, fed_avg(), 2, Counting)
    with pytest.raises(ResumeError, match="made another model"):
        serve(tmp_path, fed_avg(), 4, Counting)


def test_a_first_new_round_without_a_result_changes_nothing(tmp_path):
    lost = [Fault(3, node, FaultKind.ERROR) for node in InProcessGrid(None).node_ids]
    whole, _ = start(tmp_path / "whole", Impatient(), 4, faults=lost)
    start(tmp_path / "parts", Impatient(), 2)
    parts, _ = start(tmp_path / "parts", Impatient(), 4, faults=lost)
    assert same(to_arrays(parts).values(), to_arrays(whole).values())


def test_without_any_model_yet_the_first_start_s_initial_one_is_trained(tmp_path):
    lost = [Fault(1, node, FaultKind.ERROR) for node in InProcessGrid(None).node_ids]
    whole, _ = start(tmp_path / "whole", FedAvg(), 2, faults=lost)
    start(tmp_path / "parts", FedAvg(), 1, faults=lost)
    parts, _ = start(tmp_path / "parts", FedAvg(), 2, arrays=OTHER)
    assert same(to_arrays(parts.arrays).values(), to_arrays(whole.arrays).values())


HELD = [to_record(MODEL)]


class Elsewhere(FedAvg):
    """Trains what it holds outside of itself."""

    def configure_train(self, server_round, arrays, config, grid):
        return super().configure_train(server_round, HELD[0], config, grid)

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        HELD[0] = arrays
        return arrays, metrics


def test_a_strategy_that_sends_the_first_model_is_refused(tmp_path):
    start(tmp_path, Elsewhere(), 2)
    HELD[0] = to_record(MODEL)
    with pytest.raises(ResumeError, match=r"goes on after round 2.*began with"):
        start(tmp_path, Elsewhere(), 3)
    with ModelRegistry(tmp_path / "registry.db") as registry:
        assert len(registry.list()) == 2


def written(folder):
    return {
        path: path.read_bytes()
        for kind in ("models", "checkpoints")
        for path in (folder / kind).rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_fewer_rounds_than_are_done_give_the_model_of_the_last(tmp_path, rounds):
    whole, _ = start(tmp_path / "whole", FedAvg(), rounds)
    start(tmp_path / "parts", FedAvg(), 5)
    before = written(tmp_path / "parts")
    parts, sent = start(tmp_path / "parts", FedAvg(), rounds)
    assert sent == []
    assert same(to_arrays(parts.arrays).values(), to_arrays(whole.arrays).values())
    assert parts.train_metrics_clientapp == whole.train_metrics_clientapp
    assert written(tmp_path / "parts") == before
    again, _ = start(tmp_path / "parts", FedAvg(), 5)
    assert same(
        to_arrays(again.arrays).values(), weights_of(tmp_path / "parts", "digits")
    )


class Phases(FedAvg):
    """A loop that is told the rounds of one of its two phases."""

    def start(self, grid, initial_arrays, num_rounds):
        arrays = initial_arrays
        for current in range(1, 2 * num_rounds + 1):
            messages = self.configure_train(current, arrays, ConfigRecord(), grid)
            arrays, _ = self.aggregate_train(current, grid.send_and_receive(messages))
            messages = self.configure_evaluate(current, arrays, ConfigRecord(), grid)
            self.aggregate_evaluate(current, grid.send_and_receive(messages))
        return arrays


def test_a_loop_may_go_on_past_the_rounds_that_it_is_told(tmp_path):
    whole, _ = start(tmp_path / "whole", Phases(), 3)
    start(tmp_path / "parts", Phases(), 2)
    parts, _ = start(tmp_path / "parts", Phases(), 3)
    assert same(to_arrays(parts).values(), to_arrays(whole).values())
    assert line(tmp_path / "parts") == line(tmp_path / "whole")


def test_fewer_rounds_of_which_the_last_gave_nothing(tmp_path):
    lost = [Fault(3, node, FaultKind.ERROR) for node in InProcessGrid(None).node_ids]
    start(tmp_path, FedAvg(), 4, faults=lost)
    parts, _ = start(tmp_path, FedAvg(), 3)
    assert same(to_arrays(parts.arrays).values(), weights_of(tmp_path, "digits:1.1.0"))


@pytest.mark.parametrize("server", [OrderedServer, Cautious])
def test_fewer_rounds_of_the_legacy_api(tmp_path, server):
    whole, history = serve(tmp_path / "whole", fed_avg(), 3, server)
    serve(tmp_path / "parts", fed_avg(), 5, server)
    parts, resumed = serve(tmp_path / "parts", fed_avg(), 3, server)
    assert parts.parameters == whole.parameters
    assert vars(resumed) == vars(history)
    with ModelRegistry(tmp_path / "parts/registry.db") as registry:
        assert len(registry.list()) == 5


@pytest.mark.parametrize("strategy", [FedAvg, Impatient])
def test_fewer_rounds_whose_model_is_gone_are_refused(tmp_path, strategy):
    start(tmp_path, strategy(), 4)
    (model,) = (tmp_path / "models/digits/1.1.0").iterdir()
    model.unlink()
    with pytest.raises(ResumeError, match="the model of round 2 cannot be read"):
        start(tmp_path, strategy(), 2)


class Warming(legacy.FedAvg):
    """Notes in its first hooks what it is to know later."""

    phase = None

    def __init__(self, **options):
        super().__init__(**options)
        self.warm, self.seen = False, []

    def initialize_parameters(self, client_manager):
        self.phase = "begun"
        return super().initialize_parameters(client_manager)

    def configure_fit(self, server_round, parameters, client_manager):
        self.warm = self.warm or server_round == 1
        self.seen.append(self.warm)
        return super().configure_fit(server_round, parameters, client_manager)


@pytest.mark.parametrize("resume", [False, "auto"])
def test_what_the_first_hooks_set_is_state_and_no_setting(tmp_path, resume):
    serve(tmp_path, fed_avg(Warming), 2, resume=resume)
    strategy = fed_avg(Warming)
    serve(tmp_path, strategy, 4)
    assert strategy.seen == [True] * 4
    assert strategy.phase == "begun"


def test_numbers_of_numpy_come_back_as_such(tmp_path):
    def measure(server_round, arrays, config):
        return np.float32(0.5), {"top": np.float64(server_round), "names": "a"}

    def run(folder, rounds):
        options = {"evaluate_fn": measure}
        _, history = serve(folder, fed_avg(**options), rounds)
        return vars(history)

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 2)
    assert repr(run(tmp_path / "parts", 3)) == repr(whole)


def test_a_sketch_tells_models_apart():
    one = np.zeros(200_000, np.float32)
    other = one.copy()
    other[100_000:] = 1
    assert sketch_of((one.tobytes(),)) == sketch_of((one.tobytes(),))
    assert sketch_of((one.tobytes(),)) != sketch_of((other.tobytes(),))
    assert sketch_of((b"ab", b"")) != sketch_of((b"ab",))


def test_what_a_server_starts_from_is_the_checkpoint_whoever_asks(tmp_path):
    serve(tmp_path, fed_avg(), 2)
    given = wrapped(tmp_path, fed_avg(model=OTHER))
    manager, _ = federate(NumpyClients(), NumpyFormat(tuple(MODEL)), MODEL)
    parameters = given.initialize_parameters(manager)
    assert same(
        parameters_to_ndarrays(parameters), weights_of(tmp_path, "digits:1.1.0")
    )
