"""What the recording of both APIs shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from flwr_registry.errors import WeightsFormatError, WrapperOrderError
from flwr_registry.records import Contribution
from flwr_registry.strategy.aggregate import Aggregate
from flwr_registry.strategy.conversions import buffers_of, metrics_of, weights_of
from flwr_registry.strategy.round_recorder import RoundRecorder
from flwr_registry.strategy.state_rollback import StateSnapshot
from flwr_registry.strategy.strategy_state import is_strategy
from flwr_registry.weights import Architecture, Weights

__all__ = [
    "number_or_none",
    "record_aggregate",
    "recorder_of",
    "require_outermost",
    "see_model",
]


def recorder_of(strategy: Any) -> RoundRecorder:
    """Return the recorder of a wrapped strategy.

    It hangs on the class that was made for this one wrapper, so that the dictionary
    that the wrapper shares with the strategy holds the strategy's own attributes only.
    """
    recorder: RoundRecorder = type(strategy)._flwr_registry_recorder
    return recorder


def require_outermost(strategy: Any) -> None:
    """Refuse to work for another strategy, which would change the model afterwards.

    Looks at who called the hook that calls this, once per hook.

    Raises
    ------
    WrapperOrderError
        When the caller is a method of another strategy.
    """
    hook = sys._getframe(1)
    checked = recorder_of(strategy).checked_hooks
    if hook.f_code.co_name in checked or hook.f_back is None:
        return
    checked.add(hook.f_code.co_name)
    caller = hook.f_back.f_locals.get("self")
    if is_strategy(caller) and vars(caller) is not vars(strategy):
        outer = type(caller).__name__
        raise WrapperOrderError(
            f"RegistryStrategy is inside {outer}, which changes the model after it was "
            "recorded: a differential-privacy wrapper would add its noise too late. "
            f"Wrap the other way round: RegistryStrategy({outer}(...))"
        )


def see_model(strategy: Any, model: Any) -> None:
    """Show the recorder a model before training; the first becomes the reference."""
    recorder = recorder_of(strategy)
    names = recorder.options.names
    recorder.see_model(buffers_of(model), lambda _: weights_of(model, names))


def record_aggregate(
    strategy: Any,
    server_round: int,
    aggregate: Callable[[], tuple[Any, Any]],
    contributions: Callable[[], Sequence[Contribution]],
    lost_reasons: Sequence[str] = (),
) -> tuple[Any, Any]:
    """Let a strategy aggregate, record what it gives, and hand it on.

    Parameters
    ----------
    strategy : object
        The wrapped strategy.
    aggregate : callable
        The strategy's own aggregation.
    contributions : callable
        Reads the replies; called before the strategy may drain them.
    lost_reasons : sequence of str
        Failures that do not say whose they are.

    Returns
    -------
    tuple
        What the strategy returned; with None for the model when it is rejected.
    """
    recorder = recorder_of(strategy)
    answered: Sequence[Contribution] = ()
    with recorder.tolerate(f"read the replies of round {server_round}"):
        answered = contributions()
    before = None
    if recorder.options.on_invalid == "reject":
        with recorder.tolerate("remember the strategy's state"):
            before = StateSnapshot(strategy)
    result = aggregate()
    found = None
    with recorder.tolerate(f"read what round {server_round} gave"):
        found = _read_aggregate(strategy, result, answered, lost_reasons)
    if found is None or recorder.record(server_round, found):
        return result
    if before is not None:
        before.restore()
    return None, result[1]


def _read_aggregate(
    strategy: Any,
    result: tuple[Any, Any],
    answered: Sequence[Contribution],
    lost_reasons: Sequence[str],
) -> Aggregate:
    model, metrics = result
    names = recorder_of(strategy).options.names

    def read_weights(reference: Architecture | None) -> Weights:
        weights = weights_of(model, names, reference)
        if weights is None:
            raise WeightsFormatError(
                f"the strategy returned a {type(model).__name__} without any array"
            )
        return weights

    return Aggregate(
        has_model=model is not None,
        buffers=buffers_of(model),
        read_weights=read_weights,
        train_metrics=metrics_of(metrics),
        contributions=answered,
        tensor_type=str(getattr(model, "tensor_type", "")),
        returned_metrics=None if metrics is None else dict(metrics),
        lost_reasons=lost_reasons,
        privacy=_privacy_spent(strategy),
    )


def number_or_none(value: Any) -> float | None:
    """Return a count of examples, when it is one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _privacy_spent(strategy: Any) -> tuple[float, float] | None:
    method = getattr(strategy, "privacy_spent", None)
    spent: Any = method() if callable(method) else None
    if not hasattr(spent, "epsilon") or not hasattr(spent, "delta"):
        return None
    return float(spent.epsilon), float(spent.delta)
