"""The wrapper that a Flower user adopts with one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flwr.app import Context
from flwr.serverapp.strategy import Strategy as MessageStrategy

from flwr_registry.checkpointing import CheckpointScheduler
from flwr_registry.errors import StrategyError, WrapperOrderError
from flwr_registry.masking import RecordConfig
from flwr_registry.metric_direction import Direction
from flwr_registry.registry import ModelRegistry, PromotionGate
from flwr_registry.retention import RetentionPolicy
from flwr_registry.strategy.conversions import parameters_of, record_of
from flwr_registry.strategy.hooks.legacy_hooks import LEGACY_HOOKS
from flwr_registry.strategy.hooks.message_hooks import MESSAGE_HOOKS
from flwr_registry.strategy.hooks.shared_hooks import recorder_of, require_outermost
from flwr_registry.strategy.hooks.wrapper_class import make_wrapper
from flwr_registry.strategy.hooks.wrapping import wrapping_of
from flwr_registry.strategy.options import (
    KEEP,
    RegistryOptions,
    options_from_run_config,
)
from flwr_registry.strategy.round_recorder import RoundRecorder
from flwr_registry.strategy.state.attributes import attributes_of
from flwr_registry.strategy.state.plain_state import speaks_message_api
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.validation import DriftDetector, ModelValidator

__all__ = ["RegistryStrategy"]


class RegistryStrategy:
    """Record what a strategy aggregates, and change nothing else.

    ``RegistryStrategy(FedAdam(...))`` is an object of a class made for the occasion,
    which derives from the strategy's own class and carries its name. It shares the
    strategy's attributes. So it is a ``FedAdam`` for `isinstance`, attributes set on
    either object are set on both, and a ``start`` that the user wrote runs with the
    recording in it. All other hooks run on the strategy itself, wherever they come
    from: its class, the object, or ``__getattr__``.

    Each round's model is validated, stored as a safetensors file with its SHA-256, and
    registered as a version whose parent is the version of the round before. All of it
    is written beside training and durable before ``start`` returns; in the legacy API,
    whose strategies are not told when a run is over, before the round's last hook
    returns; and when hooks are called without ``start``, before each of them returns.

    It has to be the outermost wrapper: inside a differential-privacy wrapper it would
    record the model without the noise.

    Parameters
    ----------
    strategy : flwr.serverapp.strategy.Strategy or flwr.server.strategy.Strategy
        Of today's message API or of the legacy one.
    registry : ModelRegistry or str, optional
        A registry, a database URL, or the path of an SQLite file. By default
        ``FLWR_REGISTRY_URL``, else ``registry/registry.db`` in Flower's home.
    storage : str or path, optional
        Where the bytes lie: any fsspec URL. By default ``FLWR_REGISTRY_STORAGE``, else
        the folder of the SQLite file.
    model : str, optional
        Name of the model. By default the Flower app's name, else ``default``.
    run : str, optional
        The experiment's own name, by which it is found again.
    checkpoint_every : int or CheckpointScheduler
        Rounds between two checkpoints, or a scheduler such as ``EveryNRounds(10) |
        EverySeconds(600) | OnImprovement("accuracy")``.
    keep_checkpoints : RetentionPolicy
        Which stay beside the newest one, such as ``LatestN(3) | EveryNth(50)``.
    validator : ModelValidator, optional
        By default one that holds later models against the first that a round gives,
        whatever the initial one is like: names, order, shapes and kinds of dtypes. NaN
        and Inf are errors where the model that training went on with had none.
    on_invalid : {"reject", "raise", "record"}
        What becomes of a round whose model is invalid: Flower keeps the last good model
        and the strategy its former state, training ends with a `ValidationError`, or
        training goes on with it. In each case it is recorded as failed. Metrics that
        are out of range, with sound arrays, reject nothing. Rounds that are rejected
        one after the other are logged as an error.
    on_error : {"warn", "raise"}
        What becomes of trouble in storage or database: it is logged and training goes
        on, or it is raised, by the next hook when it came up in the background.
    durability : {"background", "sync"}
        Write beside training, so that a process that is killed loses at most the last
        finished round, or have each round durable before it ends.
    timeout_seconds : float
        How long each operation on storage and database may take, and how long training
        waits for what a round gave to be written. What takes longer is trouble, for
        which see `on_error`. A `ModelRegistry` that was given keeps its own.
    lease_seconds : float
        How long a start that gives no sign of life keeps its run. Another start of the
        same name waits so long before it takes the run over, unless the first one ran
        on this machine and is dead; it is refused by a `RunHeldError` while that one
        lives. Whoever was taken over registers and saves nothing any more.
    on_drift : {"warn", "stop", "rollback", "off"}
        What becomes of a federation that gets worse from round to round: a warning in
        the log, beside the record that each choice but ``"off"`` leaves; an end of
        training by a `DriftError`; or the next round starts from the last model before
        the drift, and drifted versions leave production.
    drift : DriftDetector, optional
        What is watched, and how sharply; by default metrics that are named as losses
        or accuracies are, and the size and origin of updates.
    parameter_names : torch module, state dict or list of str, optional
        Names for the tensors of the legacy API, which have none. Tensors beyond them
        are named by their position; all are, where there are more names than tensors.
    architecture, description : str
        Said of every version.
    model_config : mapping, optional
        Said of every version: hyperparameters, or how to build and call the module (see
        `described_model`), which serving needs.
    tags : mapping of str to str, optional
        Put on every version.
    record_config : {"none", "names", "masked"}
        What is recorded of the run configuration and of the strategy's parameters:
        nothing, the names alone, or names and values without secrets.
    sort_replies : bool
        Aggregate in the order of node ids, which makes rounds reproducible.
    promote : PromotionGate or sequence of PromotionGate, optional
        Put each round's version into production, once it is evaluated, if it passes
        all of these gates, such as ``BetterThanProduction("accuracy")``. By default
        nothing is promoted.
    best_metric : str, optional
        Let the alias ``best`` name the best version by this metric, each judged on its
        own measure, the last round included.
    best_mode : {"max", "min"}, optional
        Whether more or less of it is better. By default its name tells; one that does
        not, such as ``"speed"``, needs the mode.
    resume : {False, "auto", True} or str
        Go on after the last committed checkpoint of the run of this name: ``"auto"`` if
        there is one, True insists, and a text such as ``"trial/12"`` or
        ``"digits:1.4.0"`` names one. Rounds that are done are not trained again: they
        hand back what they gave, so ``num_rounds`` and results are as if the run had
        never been interrupted.
    initial : str, optional
        Start from the weights of a version, such as ``"models:/digits@production"``, in
        place of Flower's initial model, or one that the strategy holds itself; it
        becomes the parent of the first round.
    bump : {"patch", "minor"}, optional
        What the rounds bump; by default minor. A model of another architecture than
        the version before is a new major all the same.

    Raises
    ------
    StrategyError
        When `strategy` is none of Flower's strategies.
    WrapperOrderError
        When `strategy` is wrapped already or holds a wrapped strategy.
    ValueError
        For an option out of its choices.
    """

    def __new__(cls, strategy: Any, **_: Any) -> Any:
        """Make the class for this strategy, and its object on the same attributes."""
        return _wrapper_of(cls, strategy)

    def __init__(
        self,
        strategy: Any,
        *,
        registry: ModelRegistry | str | None = None,
        storage: str | os.PathLike[str] | None = None,
        model: str | None = None,
        run: str | None = None,
        checkpoint_every: int | CheckpointScheduler = 1,
        keep_checkpoints: RetentionPolicy = KEEP,
        validator: ModelValidator | None = None,
        on_invalid: str = "reject",
        on_error: str = "warn",
        durability: str = "background",
        timeout_seconds: float = 60.0,
        lease_seconds: float = 30.0,
        on_drift: str = "warn",
        drift: DriftDetector | None = None,
        parameter_names: Any = None,
        architecture: str = "",
        model_config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        record_config: RecordConfig = "masked",
        sort_replies: bool = False,
        promote: PromotionGate | Sequence[PromotionGate] | None = None,
        best_metric: str | None = None,
        best_mode: Direction | None = None,
        resume: bool | str = False,
        initial: str | None = None,
        bump: str | None = None,
    ) -> None:
        options = RegistryOptions(
            registry=registry,
            storage=storage,
            model=model,
            run=run,
            checkpoint_every=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
            validator=validator,
            on_invalid=on_invalid,
            on_error=on_error,
            durability=durability,
            timeout_seconds=timeout_seconds,
            lease_seconds=lease_seconds,
            on_drift=on_drift,
            drift=drift,
            parameter_names=parameter_names,
            architecture=architecture,
            model_config=model_config,
            tags=tags,
            description=description,
            record_config=record_config,
            sort_replies=sort_replies,
            promote=promote,
            best_metric=best_metric,
            best_mode=best_mode,
            resume=resume,
            initial=initial,
            bump=bump,
        )
        _attach_recorder(self, options)

    @classmethod
    def from_context(cls, context: Context, strategy: Any, **options: Any) -> Any:
        """Wrap a strategy with what the app's run configuration says.

        Parameters
        ----------
        context : flwr.app.Context
            As the ServerApp gets it. Read are the keys `RUN_CONFIG_KEYS`, such as
            ``registry-url``, ``registry-storage``, ``registry-model``, ``registry-run``
            and ``registry-checkpoint-every``; an empty text sets nothing.
        strategy : object
            The strategy to wrap.
        **options
            Options of the constructor; they go before the run configuration.
        """
        configured = options_from_run_config(context.run_config)
        wrapped = cls(strategy, **{**configured, **options})
        options_of_run = recorder_of(wrapped).options
        _attach_recorder(
            wrapped, replace(options_of_run, run_config=dict(context.run_config))
        )
        return wrapped

    @classmethod
    def _wrap_with(cls, strategy: Any, options: RegistryOptions) -> Any:
        """Wrap a strategy with options that another wrapper has, as a copy does."""
        wrapped = _wrapper_of(cls, strategy)
        _attach_recorder(wrapped, options)
        return wrapped


def _wrapper_of(registry_class: type, strategy: Any) -> Any:
    """Make the class for a strategy, and its object on the same attributes.

    Raises
    ------
    StrategyError
        When it is none.
    WrapperOrderError
        When it is wrapped already or holds a wrapped strategy.
    """
    if isinstance(strategy, RegistryStrategy):
        raise WrapperOrderError("the strategy is wrapped in RegistryStrategy already")
    speaks_messages = speaks_message_api(strategy)
    if speaks_messages is None:
        raise StrategyError(
            f"RegistryStrategy wraps a strategy, not a {type(strategy).__name__}: give "
            "it an object such as flwr.serverapp.strategy.FedAvg()"
        )
    for name, value in attributes_of(strategy).items():
        if isinstance(value, RegistryStrategy):
            raise WrapperOrderError(
                f"{type(strategy).__name__}.{name} is wrapped in RegistryStrategy "
                "already: wrap only the outermost strategy"
            )
    hooks = MESSAGE_HOOKS if speaks_messages else LEGACY_HOOKS
    return make_wrapper(strategy, registry_class, hooks, require_outermost)


def _attach_recorder(wrapped: Any, options: RegistryOptions) -> None:
    wrapping = wrapping_of(wrapped)
    strategy = wrapping.strategy
    speaks_messages = bool(speaks_message_api(strategy))
    port = StrategyPort(
        strategy,
        type(strategy),
        options,
        record_of if speaks_messages else parameters_of,
        # Flower's own loop looks at the last model alone, and the server of the legacy
        # API has no other.
        looks_at_each_model=speaks_messages and not _has_flower_s_loop(strategy),
        speaks_messages=speaks_messages,
    )
    wrapping.recorder = RoundRecorder(options, port)


def _has_flower_s_loop(strategy: Any) -> bool:
    start = getattr(strategy, "start", None)
    return getattr(start, "__func__", start) is MessageStrategy.start
