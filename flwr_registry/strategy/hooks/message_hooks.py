"""Recording for strategies of the message API (``flwr.serverapp.strategy``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial, wraps
from typing import Any

from flwr.app import Message, MetricRecord

from flwr_registry.records import Contribution, ContributionStatus, MetricSource
from flwr_registry.strategy.contributions import examples_of
from flwr_registry.strategy.conversions import buffers_of
from flwr_registry.strategy.hooks.hook_call import HookCall
from flwr_registry.strategy.hooks.shared_hooks import (
    contributions_of,
    record_aggregate,
    recorder_of,
    see_model,
)
from flwr_registry.strategy.hooks.wrapping import RecordedHook, wrapping_of
from flwr_registry.strategy.resume.first_model import replace_first_model
from flwr_registry.strategy.round_recorder import RoundRecorder
from flwr_registry.strategy.state.plain_state import speaks_message_api

__all__ = ["MESSAGE_HOOKS"]

_DEFAULT_WEIGHT_KEY = "num-examples"
_DEEPEST_NESTING = 8
_TRAINING = MetricSource.TRAIN_CLIENTAPP
_EVALUATION = MetricSource.EVALUATE_CLIENTAPP
_CENTRAL = MetricSource.EVALUATE_SERVERAPP


def _start(strategy: Any, call: HookCall) -> Any:
    """Run the strategy's own ``start``, whatever its parameters, as one run."""
    recorder_of(strategy).note_settings()
    if inspect.iscoroutinefunction(call.hook):

        async def started() -> Any:
            with recorder_of(strategy).whole_run():
                _begin(strategy, call)
                return await call()

        return started()
    with recorder_of(strategy).whole_run():
        _begin(strategy, call)
        return call()


def _begin(strategy: Any, call: HookCall) -> None:
    recorder = recorder_of(strategy)
    recorder.begin_run(_run_of(call["grid"]))
    num_rounds = call.given_or_default("num_rounds")
    is_number = isinstance(num_rounds, int) and not isinstance(num_rounds, bool)
    recorder.end_after(num_rounds if is_number else None)
    see_model(strategy, call["initial_arrays"])
    if "initial_arrays" in call and recorder.initial_model is not None:
        given, version = call["initial_arrays"], recorder.initial_model
        replace_first_model(wrapping_of(strategy).strategy, given, version)
        call["initial_arrays"] = recorder.hand_out(version)
    evaluate_fn = call["evaluate_fn"]
    if callable(evaluate_fn):
        recorder.evaluates_centrally = True
        call["evaluate_fn"] = _measuring(recorder, evaluate_fn)
    looped = getattr(call.hook, "__self__", strategy)
    if looped is not strategy and speaks_message_api(looped):
        # Handed on to another strategy, whose own hooks are called.
        recorder.unseen.notice_run()


def _configure_train(strategy: Any, call: HookCall) -> Any:
    """Choose the nodes of a round; they are noted."""
    recorder = recorder_of(strategy)
    recorder.begin_run(_run_of(call["grid"]))
    see_model(strategy, call["arrays"])
    server_round = call.server_round
    if recorder.replays(server_round):
        return call.answer([])
    recorder.begin_round(server_round)
    call["arrays"] = recorder.model_to_train(call["arrays"])
    return call.then(partial(_noting_nodes, recorder))


def _noting_nodes(recorder: RoundRecorder, messages: Any) -> Any:
    """Note whom messages are for; what yields them one by one still does."""
    if isinstance(messages, Iterator):
        return _each_noted(recorder, messages)
    if isinstance(messages, Iterable):
        messages = messages if isinstance(messages, Collection) else list(messages)
        _note_nodes(recorder, messages)
    return messages


def _each_noted(recorder: RoundRecorder, messages: Iterator[Any]) -> Iterator[Any]:
    for message in messages:
        _note_nodes(recorder, [message])
        yield message


def _note_nodes(recorder: RoundRecorder, messages: Iterable[Any]) -> None:
    models: list[Any] = []
    with recorder.tolerate("read to whom the round is sent"):
        models = [
            record
            for each in messages
            if each.has_content()
            for record in each.content.array_records.values()
        ]
        recorder.choose(str(each.metadata.dst_node_id) for each in messages)
    recorder.check_sent(models)


def _aggregate_train(strategy: Any, call: HookCall) -> Any:
    """Aggregate; the model is validated, stored and registered."""
    recorder = recorder_of(strategy)
    recorder.begin_run(None)
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        metrics = recorder.replay.metrics(_TRAINING, server_round)
        return call.answer((recorder.replay.model(server_round), _record(metrics)))
    replies = _held(call, "replies")
    if recorder.options.sort_replies:
        replies = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        call["replies"] = replies

    def contributions() -> list[Contribution]:
        read = partial(_contribution, recorder, _weight_key_of(strategy))
        return contributions_of(strategy, replies, read)

    return record_aggregate(strategy, call, contributions)


def _configure_evaluate(strategy: Any, call: HookCall) -> Any:
    """Choose the nodes of an evaluation; the model that they measure is noted."""
    recorder = recorder_of(strategy)
    server_round = call.server_round
    if recorder.replays(server_round):
        return call.answer([])
    call["arrays"] = recorder.model_to_measure(call["arrays"])
    recorder.measure(server_round, buffers_of(call["arrays"]))
    return call()


def _aggregate_evaluate(strategy: Any, call: HookCall) -> Any:
    """Aggregate metrics; they are attached to the version that was measured."""
    recorder = recorder_of(strategy)
    server_round = call.server_round
    if recorder.replay is not None and recorder.replays(server_round):
        if not recorder.evaluates_centrally:
            recorder.end_replayed_round(server_round)
        return call.answer(_record(recorder.replay.metrics(_EVALUATION, server_round)))
    _held(call, "replies")

    def finish(metrics: Any) -> Any:
        recorder.record_metrics(
            server_round,
            _EVALUATION,
            _plain(metrics),
            recorder.metrics_of(metrics, _EVALUATION.value),
            recorder.take_measured(),
        )
        if not recorder.evaluates_centrally:
            recorder.end_round()
        return metrics

    return call.then(finish)


MESSAGE_HOOKS = {
    "start": RecordedHook(_start, (), is_loop=True),
    "configure_train": RecordedHook(
        _configure_train,
        ("server_round", "arrays", "config", "grid"),
        is_inside_the_loop=True,
    ),
    "aggregate_train": RecordedHook(
        _aggregate_train, ("server_round", "replies"), is_inside_the_loop=True
    ),
    "configure_evaluate": RecordedHook(
        _configure_evaluate, ("server_round", "arrays", "config", "grid")
    ),
    "aggregate_evaluate": RecordedHook(
        _aggregate_evaluate, ("server_round", "replies")
    ),
}
"""By name, how each hook of a message strategy is recorded."""


def _held(call: HookCall, name: str) -> Any:
    """Return replies, held where they can be read once only."""
    replies = call[name]
    if isinstance(replies, Iterator):
        replies = call[name] = list(replies)
    return replies


def _measuring(
    recorder: RoundRecorder, evaluate_fn: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap the user's function: its metrics go to the version that it measured."""

    @wraps(evaluate_fn)
    def evaluate(*args: Any, **kwargs: Any) -> Any:
        call = HookCall(evaluate_fn, ("server_round", "arrays"), args, kwargs)
        server_round = call.server_round
        replay = recorder.replay
        if replay is not None and replay.covers(server_round):
            if replay.knows(_CENTRAL, server_round):
                recorder.end_replayed_round(server_round)
                return call.answer(_record(replay.metrics(_CENTRAL, server_round)))
            # Lost in the crash, or never measured: only on the round's own model.
            if server_round:
                call["arrays"] = replay.own_model(server_round)
            if call["arrays"] is None:
                return call.answer(None)
        else:
            call["arrays"] = recorder.model_to_measure(call["arrays"])
        measured = buffers_of(call["arrays"])

        def finish(metrics: Any) -> Any:
            recorder.record_metrics(
                server_round,
                _CENTRAL,
                _plain(metrics),
                recorder.metrics_of(metrics, _CENTRAL.value),
                measured,
            )
            recorder.end_round()
            recorder.end_replayed_round(server_round)
            return metrics

        return call.then(finish)

    return evaluate


def _plain(metrics: Any) -> Any:
    return dict(metrics) if hasattr(metrics, "keys") else metrics


def _record(metrics: Any) -> Any:
    """Return metrics as Flower gave them, or as the strategy, if no record has such."""
    try:
        return None if metrics is None else MetricRecord(metrics)
    except TypeError:
        return dict(metrics)


def _run_of(grid: Any) -> Any:
    return getattr(grid, "run", None)


def _contribution(
    recorder: RoundRecorder, weight_key: str, reply: Message
) -> Contribution:
    node_id = str(reply.metadata.src_node_id)
    if reply.has_error():
        return Contribution(
            node_id,
            status=ContributionStatus.ERROR,
            error_code=int(reply.error.code),
            error_reason=str(reply.error.reason or ""),
        )
    given: dict[str, Any] = {}
    for record in reply.content.metric_records.values():
        given.update(record)
    return Contribution(
        node_id,
        num_examples=examples_of(given.get(weight_key)),
        metrics=recorder.metrics_of(given, "nodes' training", f"(node {node_id})"),
    )


def _weight_key_of(wrapped: Any) -> str:
    """Return the metric that the strategy, or one inside it, weights replies by."""
    strategy = wrapping_of(wrapped).strategy
    for _ in range(_DEEPEST_NESTING):
        key = getattr(strategy, "weighted_by_key", None)
        if isinstance(key, str):
            return key
        strategy = getattr(strategy, "strategy", None)
    return _DEFAULT_WEIGHT_KEY
