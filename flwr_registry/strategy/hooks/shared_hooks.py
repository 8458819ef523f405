"""What the recording of both APIs shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any

from flwr_registry.errors import WeightsFormatError, WrapperOrderError
from flwr_registry.records import Contribution
from flwr_registry.strategy.aggregate import Aggregate
from flwr_registry.strategy.conversions import buffers_of, weights_of
from flwr_registry.strategy.hooks.caller_locals import locals_of
from flwr_registry.strategy.hooks.hook_call import HookCall
from flwr_registry.strategy.hooks.wrapping import wrapping_of
from flwr_registry.strategy.round_recorder import RoundRecorder
from flwr_registry.strategy.state.plain_state import is_strategy
from flwr_registry.strategy.state.rollback import StateSnapshot
from flwr_registry.weights import Architecture, Weights

__all__ = [
    "contributions_of",
    "record_aggregate",
    "recorder_of",
    "require_outermost",
    "see_model",
]


def recorder_of(strategy: Any) -> RoundRecorder:
    """Return the recorder of a wrapped strategy."""
    recorder = wrapping_of(strategy).recorder
    assert recorder is not None
    return recorder


def require_outermost(strategy: Any, hook: str, caller: FrameType | None) -> None:
    """Refuse to work for another strategy, which would change the model afterwards.

    Looks at who calls a hook, once per hook.

    Parameters
    ----------
    strategy : object
        The wrapped strategy.
    hook : str
        Its name.
    caller : frame or None
        What called it.

    Raises
    ------
    WrapperOrderError
        When the caller is a method of another strategy.
    """
    checked = recorder_of(strategy).checked_hooks
    if hook in checked or caller is None:
        return
    checked.add(hook)
    with locals_of(caller) as variables:
        found = variables.get("self")
    own = (strategy, wrapping_of(strategy).strategy)
    if is_strategy(found) and not any(found is each for each in own):
        outer = type(found).__name__
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


def contributions_of(
    strategy: Any, replies: Iterable[Any], read: Callable[[Any], Contribution]
) -> list[Contribution]:
    """Read what each node gave; a reply that cannot be read is left out."""
    recorder = recorder_of(strategy)
    found = []
    for reply in replies:
        with recorder.tolerate("read a node's reply"):
            found.append(read(reply))
    return found


def record_aggregate(
    strategy: Any,
    call: HookCall,
    contributions: Callable[[], Sequence[Contribution]],
    lost_reasons: Sequence[str] = (),
) -> Any:
    """Let a strategy aggregate, record what it gives, and hand it on.

    Parameters
    ----------
    strategy : object
        The wrapped strategy.
    call : HookCall
        Of the strategy's own aggregation.
    contributions : callable
        Reads the replies; called before the strategy may drain them.
    lost_reasons : sequence of str
        Failures that do not say whose they are.

    Returns
    -------
    object
        What the strategy returned; with None for the model when it is rejected.
    """
    recorder = recorder_of(strategy)
    server_round = call.server_round
    answered: Sequence[Contribution] = ()
    with recorder.tolerate(f"read the replies of round {server_round}"):
        answered = contributions()
    before = None
    if recorder.options.on_invalid == "reject":
        with recorder.tolerate("remember the strategy's state"):
            before = StateSnapshot(wrapping_of(strategy).strategy)

    def finish(result: Any) -> Any:
        found = None
        with recorder.tolerate(f"read what round {server_round} gave"):
            found = _read_aggregate(strategy, result, answered, lost_reasons)
        if found is None or recorder.record(server_round, found):
            return result
        if before is not None:
            before.restore()
        return None, result[1]

    return call.then(finish)


def _read_aggregate(
    strategy: Any,
    result: tuple[Any, Any],
    answered: Sequence[Contribution],
    lost_reasons: Sequence[str],
) -> Aggregate:
    model, metrics = result
    recorder = recorder_of(strategy)
    names = recorder.options.names

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
        train_metrics=recorder.metrics_of(metrics, "aggregate"),
        contributions=answered,
        tensor_type=str(getattr(model, "tensor_type", "")),
        returned_metrics=dict(metrics) if isinstance(metrics, Mapping) else metrics,
        lost_reasons=lost_reasons,
        privacy=_privacy_spent(wrapping_of(strategy).strategy),
    )


def _privacy_spent(strategy: Any) -> tuple[float, float] | None:
    method = getattr(strategy, "privacy_spent", None)
    spent: Any = method() if callable(method) else None
    if not hasattr(spent, "epsilon") or not hasattr(spent, "delta"):
        return None
    return float(spent.epsilon), float(spent.delta)
