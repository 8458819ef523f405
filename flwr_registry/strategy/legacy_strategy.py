"""Recording for strategies of the legacy API (``flwr.server.strategy``).

When Flower drops that API, this file goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from flwr.common import EvaluateIns, EvaluateRes, FitIns, FitRes, Parameters, Scalar
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy

from flwr_registry.records import Contribution, ContributionStatus, MetricSource
from flwr_registry.strategy.conversions import buffers_of, metrics_of
from flwr_registry.strategy.first_model import replace_first_model
from flwr_registry.strategy.legacy_server import LegacyServer, find_legacy_server
from flwr_registry.strategy.recording import (
    number_or_none,
    record_aggregate,
    recorder_of,
    require_outermost,
    see_model,
)
from flwr_registry.strategy.replay import Replay
from flwr_registry.strategy.round_log import log_unasked

__all__ = ["LegacyRecording"]

FitResults = list[tuple[ClientProxy, FitRes]]
FitFailures = list[tuple[ClientProxy, FitRes] | BaseException]
EvaluateResults = list[tuple[ClientProxy, EvaluateRes]]
EvaluateFailures = list[tuple[ClientProxy, EvaluateRes] | BaseException]


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


class LegacyRecording:
    """Hooks around those of a legacy strategy, and nothing else.

    It stands before the strategy's own class in the method resolution order: each hook
    calls the strategy's by ``super()`` and hands on what that gave. It has no attribute
    of another name, which could hide one of the user's.
    """

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters | None:
        """Begin a run; the one that this strategy may have had before is over."""
        recorder = recorder_of(self)
        recorder.end_run(finished=True)
        recorder.note_settings()
        if recorder.options.starts_from_something:
            recorder.begin_run(_run_of(list(client_manager.all().values())))
        parameters: Parameters | None = super().initialize_parameters(client_manager)  # type: ignore[misc]
        see_model(self, parameters)
        replay = recorder.replay
        if recorder.initial_model is not None:
            replace_first_model(self, parameters, recorder.initial_model)
            parameters = recorder.hand_out(recorder.initial_model)
        if replay is None:
            return parameters
        replay.server = find_legacy_server()
        recorder.end_after(replay.server.num_rounds)
        if not replay.knows(_CENTRAL, 0):
            replay.first_model = parameters
        # Whatever the server takes of the rounds that are done, it goes on with this.
        if replay.last_model is not None:
            parameters = recorder.hand_out(replay.last_model)
        return parameters

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Choose the clients of a round; they are noted."""
        require_outermost(self)
        recorder = recorder_of(self)
        recorder.note_settings()
        see_model(self, parameters)
        if recorder.replay is not None and recorder.replays(server_round):
            return _Nobody(called=_asks_for_aggregates(recorder.replay, server_round))
        recorder.begin_round(server_round)
        parameters = recorder.model_to_train(parameters)
        instructions: list[tuple[ClientProxy, FitIns]] = super().configure_fit(  # type: ignore[misc]
            server_round, parameters, client_manager
        )
        recorder.check_sent(each.parameters for _, each in instructions)
        proxies = [proxy for proxy, _ in instructions]
        recorder.begin_run(_run_of(proxies))
        recorder.choose(map(_node_id, proxies))
        return instructions

    def aggregate_fit(
        self, server_round: int, results: FitResults, failures: FitFailures
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Aggregate; the model is validated, stored and registered."""
        require_outermost(self)
        recorder = recorder_of(self)
        recorder.begin_run(_run_of([proxy for proxy, _ in results]))
        if recorder.replay is not None and recorder.replays(server_round):
            metrics = recorder.replay.metrics(_TRAINING, server_round)
            return recorder.replay.model(server_round), metrics or {}
        if recorder.options.sort_replies:
            results = sorted(results, key=lambda result: _node_id(result[0]))
        lost = [str(each) for each in failures if isinstance(each, BaseException)]
        return record_aggregate(
            self,
            server_round,
            partial(super().aggregate_fit, server_round, results, failures),  # type: ignore[misc]
            partial(_contributions, results, failures),
            lost,
        )

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Scalar]] | None:
        """Evaluate centrally; the metrics are attached to the version measured."""
        see_model(self, parameters)
        recorder = recorder_of(self)
        recorder.note_settings()
        replay = recorder.replay
        if replay is not None and replay.covers(server_round):
            _note_training(replay, server_round)
            if replay.knows(_CENTRAL, server_round):
                return _pair(replay.metrics(_CENTRAL, server_round))
            # Lost in the crash, or never measured: only on the round's own model.
            found = replay.own_model(server_round)
            if found is None:
                return None
            parameters = found
        else:
            parameters = recorder.model_to_measure(parameters)
        measured = buffers_of(parameters)
        result: tuple[float, dict[str, Scalar]] | None = super().evaluate(  # type: ignore[misc]
            server_round, parameters
        )
        recorder.record_metrics(
            server_round, _CENTRAL, _plain(result), _metrics(result), measured
        )
        return result

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """Choose the clients of an evaluation; the model that they measure is noted."""
        recorder = recorder_of(self)
        if recorder.replay is not None and recorder.replays(server_round):
            _note_training(recorder.replay, server_round)
            is_called = recorder.replay.knows(_EVALUATION, server_round)
            if not is_called:
                recorder.end_replayed_round(server_round)
            return _Nobody(called=is_called)
        parameters = recorder.model_to_measure(parameters)
        recorder.measure(buffers_of(parameters))
        instructions: list[tuple[ClientProxy, EvaluateIns]] = (
            super().configure_evaluate(server_round, parameters, client_manager)  # type: ignore[misc]
        )
        if not instructions:
            # The server calls no other hook in this round.
            recorder.end_round()
        return instructions

    def aggregate_evaluate(
        self, server_round: int, results: EvaluateResults, failures: EvaluateFailures
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Aggregate metrics; they are attached to the version that was measured."""
        recorder = recorder_of(self)
        if recorder.replay is not None and recorder.replays(server_round):
            recorder.end_replayed_round(server_round)
            known = recorder.replay.metrics(_EVALUATION, server_round)
            return _pair(known) or (None, {})
        result: tuple[float | None, dict[str, Scalar]] = super().aggregate_evaluate(  # type: ignore[misc]
            server_round, results, failures
        )
        recorder.record_metrics(
            server_round,
            _EVALUATION,
            _plain(result),
            _metrics(result),
            recorder.take_measured(),
        )
        recorder.end_round()
        return result


def _asks_for_aggregates(replay: Replay, server_round: int) -> bool:
    """Tell whether a server shall ask for the aggregate of a round that is done.

    Secure aggregation asks nobody for that of fewer than two clients, and complains: a
    workflow is given it past that, by `_note_training`.
    """
    by_hand = replay.server is not None and replay.server.is_workflow
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


def _metrics(result: tuple[float | None, Any] | None) -> dict[str, Any]:
    """Return the metrics of an evaluation with its loss among them."""
    if result is None or result[0] is None:
        return {}
    return metrics_of({"loss": result[0], **(result[1] or {})})


def _plain(result: tuple[float | None, Any] | None) -> list[Any] | None:
    return None if result is None else [result[0], dict(result[1] or {})]


def _pair(measured: Any) -> tuple[Any, dict[str, Scalar]] | None:
    return None if measured is None else (measured[0], measured[1])


def _node_id(proxy: ClientProxy) -> str:
    return str(getattr(proxy, "node_id", proxy.cid))


def _run_of(proxies: Sequence[Any]) -> Any:
    """Return what the clients' proxies know of the run."""
    for proxy in proxies:
        run = getattr(getattr(proxy, "grid", None), "run", None)
        if run is not None:
            return run
        if hasattr(proxy, "run_id"):
            return SimpleNamespace(run_id=proxy.run_id)
    return None


def _contributions(results: FitResults, failures: FitFailures) -> list[Contribution]:
    refused = [failure for failure in failures if isinstance(failure, tuple)]
    return [_contribution(proxy, res) for proxy, res in results] + [
        Contribution(
            _node_id(proxy),
            status=ContributionStatus.ERROR,
            error_code=int(res.status.code.value),
            error_reason=res.status.message,
        )
        for proxy, res in refused
    ]


def _contribution(proxy: ClientProxy, res: FitRes) -> Contribution:
    return Contribution(
        _node_id(proxy),
        num_examples=number_or_none(res.num_examples),
        metrics=metrics_of(res.metrics),
    )
