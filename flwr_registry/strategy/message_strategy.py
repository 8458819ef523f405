"""Recording for strategies of the message API (``flwr.serverapp.strategy``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from flwr_registry.records import Contribution, ContributionStatus, MetricSource
from flwr_registry.strategy.conversions import buffers_of, metrics_of
from flwr_registry.strategy.first_model import replace_first_model
from flwr_registry.strategy.recording import (
    number_or_none,
    record_aggregate,
    recorder_of,
    require_outermost,
    see_model,
)
from flwr_registry.strategy.round_recorder import RoundRecorder

__all__ = ["MessageRecording"]

_DEFAULT_WEIGHT_KEY = "num-examples"
_TRAINING = MetricSource.TRAIN_CLIENTAPP
_EVALUATION = MetricSource.EVALUATE_CLIENTAPP
_CENTRAL = MetricSource.EVALUATE_SERVERAPP


class MessageRecording:
    """Hooks around those of a message strategy, and nothing else.

    It stands before the strategy's own class in the method resolution order: each hook
    calls the strategy's by ``super()`` and hands on what that gave. It has no attribute
    of another name, which could hide one of the user's.
    """

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """Run the strategy's own ``start``, whatever its parameters, as one run."""
        recorder = recorder_of(self)
        recorder.note_settings()
        start = super().start  # type: ignore[misc]
        call = inspect.signature(start).bind(*args, **kwargs)
        holders = _argument_holders(call)
        with recorder.whole_run():
            grids = [given["grid"] for given in holders if "grid" in given]
            recorder.begin_run(_run_of(grids[0]) if grids else None)
            recorder.end_after(_num_rounds_of(call, holders))
            for given in holders:
                see_model(self, given.get("initial_arrays"))
                if "initial_arrays" in given and recorder.initial_model is not None:
                    own, version = given["initial_arrays"], recorder.initial_model
                    replace_first_model(self, own, version)
                    given["initial_arrays"] = recorder.hand_out(version)
                evaluate_fn = given.get("evaluate_fn")
                if callable(evaluate_fn):
                    recorder.evaluates_centrally = True
                    given["evaluate_fn"] = _measuring(recorder, evaluate_fn)
            return start(*call.args, **call.kwargs)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the nodes of a round; they are noted."""
        require_outermost(self)
        recorder = recorder_of(self)
        recorder.begin_run(_run_of(grid))
        see_model(self, arrays)
        if recorder.replays(server_round):
            return []
        recorder.begin_round(server_round)
        arrays = recorder.model_to_train(arrays)
        messages = list(super().configure_train(server_round, arrays, config, grid))  # type: ignore[misc]
        recorder.check_sent(
            record for each in messages for record in _array_records(each)
        )
        recorder.choose(str(each.metadata.dst_node_id) for each in messages)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate; the model is validated, stored and registered."""
        require_outermost(self)
        recorder = recorder_of(self)
        recorder.begin_run(None)
        if recorder.replay is not None and recorder.replays(server_round):
            metrics = recorder.replay.metrics(_TRAINING, server_round)
            return recorder.replay.model(server_round), _record(metrics)
        replies = list(replies)
        if recorder.options.sort_replies:
            replies.sort(key=lambda reply: reply.metadata.src_node_id)
        return record_aggregate(
            self,
            server_round,
            partial(super().aggregate_train, server_round, replies),  # type: ignore[misc]
            partial(_contributions, replies, _weight_key_of(self)),
        )

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the nodes of an evaluation; the model that they measure is noted."""
        recorder = recorder_of(self)
        if recorder.replays(server_round):
            return []
        arrays = recorder.model_to_measure(arrays)
        recorder.measure(buffers_of(arrays))
        messages: Iterable[Message] = super().configure_evaluate(  # type: ignore[misc]
            server_round, arrays, config, grid
        )
        return messages

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate metrics; they are attached to the version that was measured."""
        recorder = recorder_of(self)
        if recorder.replay is not None and recorder.replays(server_round):
            if not recorder.evaluates_centrally:
                recorder.end_replayed_round(server_round)
            return _record(recorder.replay.metrics(_EVALUATION, server_round))
        metrics: MetricRecord | None = super().aggregate_evaluate(  # type: ignore[misc]
            server_round, list(replies)
        )
        recorder.record_metrics(
            server_round,
            _EVALUATION,
            _plain(metrics),
            metrics_of(metrics),
            recorder.take_measured(),
        )
        if not recorder.evaluates_centrally:
            recorder.end_round()
        return metrics


def _argument_holders(call: inspect.BoundArguments) -> list[dict[str, Any]]:
    """Where a call holds its arguments: by parameter, and in a ``**kwargs``."""
    holders = [call.arguments]
    for parameter in call.signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            holders.append(call.arguments.setdefault(parameter.name, {}))
    return holders


def _num_rounds_of(
    call: inspect.BoundArguments, holders: list[dict[str, Any]]
) -> int | None:
    """Return how many rounds a ``start`` runs, None where it does not say."""
    parameter = call.signature.parameters.get("num_rounds")
    found = parameter.default if parameter is not None else None
    for given in holders:
        found = given.get("num_rounds", found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _array_records(message: Message) -> list[ArrayRecord]:
    return list(message.content.array_records.values()) if message.has_content() else []


def _measuring(
    recorder: RoundRecorder, evaluate_fn: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap the user's function: its metrics go to the version that it measured."""

    @wraps(evaluate_fn)
    def evaluate(server_round: int, arrays: ArrayRecord) -> Any:
        replay = recorder.replay
        if replay is not None and replay.covers(server_round):
            if replay.knows(_CENTRAL, server_round):
                recorder.end_replayed_round(server_round)
                return _record(replay.metrics(_CENTRAL, server_round))
            # Lost in the crash, or never measured: only on the round's own model.
            arrays = replay.own_model(server_round) if server_round else arrays
            if arrays is None:
                return None
        else:
            arrays = recorder.model_to_measure(arrays)
        measured = buffers_of(arrays)
        metrics = evaluate_fn(server_round, arrays)
        recorder.record_metrics(
            server_round, _CENTRAL, _plain(metrics), metrics_of(metrics), measured
        )
        recorder.end_round()
        recorder.end_replayed_round(server_round)
        return metrics

    return evaluate


def _plain(metrics: Any) -> Any:
    return None if metrics is None else dict(metrics)


def _record(metrics: Any) -> MetricRecord | None:
    return None if metrics is None else MetricRecord(metrics)


def _run_of(grid: Any) -> Any:
    return getattr(grid, "run", None)


def _contributions(replies: list[Message], weight_key: str) -> list[Contribution]:
    return [_contribution(reply, weight_key) for reply in replies]


def _contribution(reply: Message, weight_key: str) -> Contribution:
    node_id = str(reply.metadata.src_node_id)
    if reply.has_error():
        return Contribution(
            node_id,
            status=ContributionStatus.ERROR,
            error_code=int(reply.error.code),
            error_reason=reply.error.reason or "",
        )
    metrics: dict[str, Any] = {}
    for record in reply.content.metric_records.values():
        metrics.update(metrics_of(record))
    examples = number_or_none(metrics.get(weight_key))
    return Contribution(node_id, num_examples=examples, metrics=metrics)


def _weight_key_of(strategy: Any) -> str:
    """Return the metric that the strategy, or one inside it, weights replies by."""
    while strategy is not None:
        key = getattr(strategy, "weighted_by_key", None)
        if isinstance(key, str):
            return key
        strategy = getattr(strategy, "strategy", None)
    return _DEFAULT_WEIGHT_KEY
