"""Recording for strategies of the legacy API (``flwr.server.strategy``).

When Flower drops that API, this file goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from flwr_registry.records import Contribution, ContributionStatus, MetricSource
from flwr_registry.strategy.contributions import examples_of
from flwr_registry.strategy.conversions import buffers_of
from flwr_registry.strategy.hooks.hook_call import HookCall
from flwr_registry.strategy.hooks.legacy_server import LegacyServer, find_legacy_server
from flwr_registry.strategy.hooks.shared_hooks import (
    contributions_of,
    record_aggregate,
    recorder_of,
    see_model,
)
from flwr_registry.strategy.hooks.wrapping import RecordedHook, wrapping_of
from flwr_registry.strategy.resume.first_model import replace_first_model
from flwr_registry.strategy.resume.replay import Replay
from flwr_registry.strategy.round_log import log_unasked
from flwr_registry.strategy.round_recorder import RoundRecorder

__all__ = ["LEGACY_HOOKS"]

_TRAINING = MetricSource.TRAIN_CLIENTAPP
_EVALUATION = MetricSource.EVALUATE_CLIENTAPP
_CENTRAL = MetricSource.EVALUATE_SERVERAPP


class _Nobody(list[Any]):
    """No client at all, for which the server calls the aggregate hook all the same.

    Parameters
    ----------
    called : bool
        Whether the hook was called when the round was trained.
    """

    def __init__(self, *, called: bool) -> None:
        super().__init__()
        self._called = called

    def __bool__(self) -> bool:
        return self._called


def _initialize_parameters(strategy: Any, call: HookCall) -> Any:
    """Begin a run; the one that this strategy may have had before is over."""
    recorder = recorder_of(strategy)
    recorder.end_run(finished=True)
    recorder.note_settings()
    if recorder.options.starts_from_something:
        recorder.begin_run(_run_of(list(call["client_manager"].all().values())))

    # Who calls is seen now alone, whenever the call may end.
    server = find_legacy_server()

    def finish(parameters: Any) -> Any:
        see_model(strategy, parameters)
        replay = recorder.replay
        if recorder.initial_model is not None:
            own = wrapping_of(strategy).strategy
            replace_first_model(own, parameters, recorder.initial_model)
            parameters = recorder.hand_out(recorder.initial_model)
        recorder.end_after(server.num_rounds)
        if replay is None:
            return parameters
        replay.server = server
        if not replay.knows(_CENTRAL, 0):
            replay.first_model = parameters
        # Whatever the server takes of the rounds that are done, it goes on with this.
        if replay.last_model is not None and not replay.is_made_anew:
            parameters = recorder.hand_out(replay.last_model)
        return parameters

    return call.then(finish)


def _configure_fit(strategy: Any, call: HookCall) -> Any:
    """Choose the clients of a round; they are noted."""
    recorder = recorder_of(strategy)
    recorder.note_settings()
    see_model(strategy, call["parameters"])
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        called = _asks_for_aggregates(recorder.replay, server_round)
        return call.answer(_Nobody(called=called))
    recorder.begin_round(server_round)
    call["parameters"] = recorder.model_to_train(call["parameters"])

    def finish(instructions: Any) -> Any:
        instructions = _held(instructions)
        proxies: list[Any] = []
        sent: list[Any] = []
        with recorder.tolerate("read to whom the round is sent"):
            proxies = [proxy for proxy, _ in instructions]
            sent = [getattr(each, "parameters", None) for _, each in instructions]
        recorder.check_sent(sent)
        recorder.begin_run(_run_of(proxies))
        recorder.choose(map(_node_id, proxies))
        return instructions

    return call.then(finish)


def _aggregate_fit(strategy: Any, call: HookCall) -> Any:
    """Aggregate; the model is validated, stored and registered."""
    recorder = recorder_of(strategy)
    results, failures = call["results"], call["failures"]
    with recorder.tolerate("read whose replies they are"):
        recorder.begin_run(_run_of([proxy for proxy, _ in results]))
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        metrics = recorder.replay.metrics(_TRAINING, server_round)
        return call.answer((recorder.replay.model(server_round), metrics or {}))
    if recorder.options.sort_replies:
        results = sorted(results, key=lambda result: _node_id(result[0]))
        call["results"] = results
    failures = failures or ()
    lost = [str(each) for each in failures if not isinstance(each, tuple)]

    def contributions() -> list[Contribution]:
        refused = [each for each in failures if isinstance(each, tuple)]
        return [
            *contributions_of(strategy, results, partial(_contribution, recorder)),
            *contributions_of(strategy, refused, _failure),
        ]

    return record_aggregate(strategy, call, contributions, lost)


def _evaluate(strategy: Any, call: HookCall) -> Any:
    """Evaluate centrally; the metrics are attached to the version measured."""
    see_model(strategy, call["parameters"])
    recorder = recorder_of(strategy)
    recorder.note_settings()
    server_round = call.server_round
    replay = recorder.replay
    if replay is not None and replay.covers(server_round):
        _note_training(replay, server_round)
        if replay.knows(_CENTRAL, server_round):
            return call.answer(replay.loss_and_metrics(_CENTRAL, server_round))
        # Lost in the crash, or never measured: only on the round's own model.
        found = replay.own_model(server_round)
        if found is None:
            return call.answer(None)
        call["parameters"] = found
    else:
        call["parameters"] = recorder.model_to_measure(call["parameters"])
    measured = buffers_of(call["parameters"])

    def finish(result: Any) -> Any:
        recorder.record_metrics(
            server_round,
            _CENTRAL,
            _plain(result),
            recorder.metrics_of(_metrics(result), _CENTRAL.value),
            measured,
        )
        return result

    return call.then(finish)


def _configure_evaluate(strategy: Any, call: HookCall) -> Any:
    """Choose the clients of an evaluation; the model that they measure is noted."""
    recorder = recorder_of(strategy)
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        _note_training(recorder.replay, server_round)
        is_called = recorder.replay.knows(_EVALUATION, server_round)
        if not is_called:
            recorder.end_replayed_round(server_round)
        return call.answer(_Nobody(called=is_called))
    call["parameters"] = recorder.model_to_measure(call["parameters"])
    recorder.measure(server_round, buffers_of(call["parameters"]))

    def finish(instructions: Any) -> Any:
        instructions = _held(instructions)
        if not instructions:
            # The server calls no other hook in this round.
            recorder.end_round()
        return instructions

    return call.then(finish)


def _aggregate_evaluate(strategy: Any, call: HookCall) -> Any:
    """Aggregate metrics; they are attached to the version that was measured."""
    recorder = recorder_of(strategy)
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        recorder.end_replayed_round(server_round)
        known = recorder.replay.loss_and_metrics(_EVALUATION, server_round)
        return call.answer(known or (None, {}))

    def finish(result: Any) -> Any:
        recorder.record_metrics(
            server_round,
            _EVALUATION,
            _plain(result),
            recorder.metrics_of(_metrics(result), _EVALUATION.value),
            recorder.take_measured(),
        )
        recorder.end_round()
        return result

    return call.then(finish)


_CONFIGURE = ("server_round", "parameters", "client_manager")
_AGGREGATE = ("server_round", "results", "failures")

LEGACY_HOOKS = {
    "initialize_parameters": RecordedHook(_initialize_parameters, ("client_manager",)),
    "configure_fit": RecordedHook(_configure_fit, _CONFIGURE, is_inside_the_loop=True),
    "aggregate_fit": RecordedHook(_aggregate_fit, _AGGREGATE, is_inside_the_loop=True),
    "evaluate": RecordedHook(_evaluate, ("server_round", "parameters")),
    "configure_evaluate": RecordedHook(_configure_evaluate, _CONFIGURE),
    "aggregate_evaluate": RecordedHook(_aggregate_evaluate, _AGGREGATE),
}
"""By name, how each hook of a legacy strategy is recorded."""


def _asks_for_aggregates(replay: Replay, server_round: int) -> bool:
    """Tell whether a server shall ask for the aggregate of a round that is done.

    Secure aggregation asks nobody for that of fewer than two clients, and complains: a
    workflow is given it past that, by `_note_training`.
    """
    by_hand = replay.server is not None and replay.server.is_workflow
    by_hand = by_hand and not replay.is_made_anew
    return replay.was_configured(server_round) and not by_hand


def _note_training(replay: Replay, server_round: int) -> None:
    """Give a server the training metrics of a round that it did not ask for."""
    if server_round in replay.told or not replay.was_configured(server_round):
        return
    replay.told.add(server_round)
    gave_model = replay.gave_model(server_round)
    metrics = replay.metrics(_TRAINING, server_round) or {}
    server: LegacyServer = replay.server or LegacyServer()
    is_noted = server.note_training(server_round, metrics, gave_model=gave_model)
    if metrics and not is_noted:
        log_unasked(server_round)


def _held(instructions: Any) -> Any:
    """Hold what can be read once only: the server asks whether there is any."""
    return list(instructions) if isinstance(instructions, Iterator) else instructions


def _metrics(result: Any) -> dict[str, Any]:
    """Return the metrics of an evaluation with its loss among them."""
    match result:
        case (None, _):
            return {}
        case (loss, Mapping() as metrics):
            return {"loss": loss, **metrics}
        case (loss, _):
            return {"loss": loss}
        case _:
            return {}


def _plain(result: Any) -> Any:
    match result:
        case (loss, Mapping() as metrics):
            return [loss, dict(metrics)]
        case (loss, None):
            return [loss, {}]
        case _:
            return None


def _node_id(proxy: Any) -> str:
    """Return the id that Flower gives a node; older proxies have their own alone."""
    node_id = getattr(proxy, "node_id", None)
    return str(getattr(proxy, "cid", proxy) if node_id is None else node_id)


def _run_of(proxies: Sequence[Any]) -> Any:
    """Return what the clients' proxies know of the run."""
    for proxy in proxies:
        run = getattr(getattr(proxy, "grid", None), "run", None)
        if run is not None:
            return run
        if hasattr(proxy, "run_id"):
            return SimpleNamespace(run_id=proxy.run_id)
    return None


def _contribution(recorder: RoundRecorder, result: tuple[Any, Any]) -> Contribution:
    proxy, res = result
    node_id = _node_id(proxy)
    return Contribution(
        node_id,
        num_examples=examples_of(res.num_examples),
        metrics=recorder.metrics_of(
            res.metrics, "nodes' training", f"(node {node_id})"
        ),
    )


def _failure(failure: tuple[Any, Any]) -> Contribution:
    proxy, res = failure
    return Contribution(
        _node_id(proxy),
        status=ContributionStatus.ERROR,
        error_code=int(res.status.code.value),
        error_reason=str(res.status.message),
    )
