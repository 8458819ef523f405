"""What a user may choose, from Python or from the app's run configuration."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from flwr_registry.checkpointing import CheckpointScheduler, EveryNRounds, StateCipher
from flwr_registry.file_modes import check_umask
from flwr_registry.keyed_seals import seal_key
from flwr_registry.masking import RecordConfig
from flwr_registry.metric_direction import (
    Direction,
    check_direction,
    known_direction,
)
from flwr_registry.records import check_name
from flwr_registry.registry import (
    ModelRegistry,
    NodeNames,
    PromotionGate,
    parse_reference,
)
from flwr_registry.retention import LatestN, RetentionPolicy
from flwr_registry.strategy.resume.resume_point import run_named_in
from flwr_registry.validation import DriftDetector, ModelValidator
from flwr_registry.weights import Weights

__all__ = ["KEEP", "RUN_CONFIG_KEYS", "RegistryOptions", "options_from_run_config"]

KEEP = LatestN(3)
"""Which checkpoints stay by default."""

_ON_INVALID = ("reject", "raise", "record")
_ON_ERROR = ("warn", "raise")
_ON_DRIFT = ("warn", "stop", "rollback", "off")
_DURABILITY = ("background", "sync")
_RECORD_CONFIG = get_args(RecordConfig)

RUN_CONFIG_KEYS: Mapping[str, str] = {
    "registry-url": "registry",
    "registry-storage": "storage",
    "registry-model": "model",
    "registry-run": "run",
    "registry-resume": "resume",
    "registry-initial": "initial",
    "registry-bump": "bump",
    "registry-checkpoint-every": "checkpoint_every",
    "registry-best-metric": "best_metric",
    "registry-best-mode": "best_mode",
    "registry-on-invalid": "on_invalid",
    "registry-on-error": "on_error",
    "registry-on-drift": "on_drift",
    "registry-durability": "durability",
    "registry-timeout-seconds": "timeout_seconds",
    "registry-lease-seconds": "lease_seconds",
    "registry-architecture": "architecture",
    "registry-description": "description",
    "registry-record-config": "record_config",
    "registry-sort-replies": "sort_replies",
}
"""Keys of the app's run configuration and the options that they set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """The options of `RegistryStrategy`, checked.

    Attributes
    ----------
    run_config : mapping
        The app's run configuration, for the record.
    names : tuple of str or None
        What `parameter_names` comes to.
    scheduler : CheckpointScheduler
        What `checkpoint_every` comes to.
    gates : tuple of PromotionGate or None
        What `promote` comes to; None for no promotion at all.

    Raises
    ------
    ValueError
        Naming the option and what it may be.
    SealError, StorageError
        When the environment has a key of seals or a umask that cannot be used.
    """

    registry: ModelRegistry | str | None = None
    storage: str | os.PathLike[str] | None = None
    model: str | None = None
    run: str | None = None
    checkpoint_every: int | CheckpointScheduler = 1
    keep_checkpoints: RetentionPolicy = KEEP
    best_metric: str | None = None
    best_mode: Direction | None = None
    initial: str | None = None
    bump: str | None = None
    validator: ModelValidator | None = None
    on_invalid: str = "reject"
    on_error: str = "warn"
    durability: str = "background"
    timeout_seconds: float = 60.0
    lease_seconds: float = 30.0
    on_drift: str = "warn"
    drift: DriftDetector | None = None
    parameter_names: Any = None
    architecture: str = ""
    model_config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    description: str = ""
    record_config: RecordConfig = "masked"
    sort_replies: bool = False
    promote: PromotionGate | Sequence[PromotionGate] | None = None
    resume: bool | str = False
    run_config: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] | None = field(init=False)
    gates: tuple[PromotionGate, ...] | None = field(init=False)
    scheduler: CheckpointScheduler = field(init=False)

    def __post_init__(self) -> None:
        _check_choice("on_invalid", self.on_invalid, _ON_INVALID)
        _check_choice("on_error", self.on_error, _ON_ERROR)
        _check_choice("durability", self.durability, _DURABILITY)
        _check_choice("on_drift", self.on_drift, _ON_DRIFT)
        _check_choice("record_config", self.record_config, _RECORD_CONFIG)
        _check_timeout(self.timeout_seconds)
        _check_lease(self.lease_seconds)
        # What cannot be used would cost each checkpoint of the run, or all it writes.
        seal_key()
        check_umask()
        if self.model is not None:
            check_name(self.model, "model")
        object.__setattr__(self, "resume", _resume_from(self.resume))
        if self.run is None:
            object.__setattr__(self, "run", run_named_in(self.resume))
        if self.run is not None:
            check_name(self.run, "run")
        if self.storage is not None and isinstance(self.registry, ModelRegistry):
            raise ValueError("a ModelRegistry has its storage: give no other with it")
        object.__setattr__(self, "best_mode", _direction_of_best(self))
        _check_choice("bump", self.bump, (None, "patch", "minor"))
        if not isinstance(self.keep_checkpoints, RetentionPolicy):
            raise TypeError(
                "keep_checkpoints is a policy such as LatestN(3) | BestN(1, "
                f"'accuracy'), not {self.keep_checkpoints!r}"
            )
        object.__setattr__(self, "scheduler", _scheduler_from(self.checkpoint_every))
        if self.initial is not None:
            parse_reference(self.initial)
        object.__setattr__(self, "names", _names_from(self.parameter_names))
        object.__setattr__(self, "gates", _gates_from(self.promote))

    @property
    def starts_from_something(self) -> bool:
        """Whether a run may start from a checkpoint or a version."""
        return self.resume is not False or self.initial is not None

    @property
    def node_names(self) -> NodeNames:
        """How the registry of the run writes node ids down."""
        if isinstance(self.registry, ModelRegistry):
            return self.registry.node_names
        return NodeNames.with_key(None)

    @property
    def state_cipher(self) -> StateCipher | None:
        """What encrypts the state of checkpoints; None without a node key."""
        key = self.node_names.key
        return None if key is None else StateCipher(key)

    @property
    def deciding_metrics(self) -> frozenset[str]:
        """Names of the metrics that decide something."""
        best = () if self.best_metric is None else (self.best_metric,)
        return self.scheduler.metric_names() | frozenset(best)

    def framework_of(self, weights: Weights | None) -> str:
        """Name the framework of the model where that is certain, else nothing."""
        if weights is not None and weights.opaque:
            first = next(iter(weights.values()))
            return "xgboost" if first[:1].tobytes() == b"{" else ""
        module = self.parameter_names
        return "pytorch" if callable(getattr(module, "load_state_dict", None)) else ""


def options_from_run_config(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Options that an app's run configuration sets; an empty text sets nothing.

    Raises
    ------
    ValueError
        For a key that starts with ``registry-`` and is none of `RUN_CONFIG_KEYS`.
    """
    unknown = sorted(
        key
        for key in run_config
        if key.startswith("registry-") and key not in RUN_CONFIG_KEYS
    )
    if unknown:
        raise ValueError(
            f"unknown run configuration {', '.join(unknown)}: flwr_registry reads "
            f"{', '.join(RUN_CONFIG_KEYS)}"
        )
    return {
        option: run_config[key]
        for key, option in RUN_CONFIG_KEYS.items()
        if run_config.get(key, "") != ""
    }


def _direction_of_best(options: RegistryOptions) -> Direction | None:
    """Say which way the best metric is better; None where there is none."""
    option = "best_mode (registry-best-mode)"
    if options.best_metric is None:
        return check_direction(options.best_mode, option)
    return known_direction(options.best_metric, options.best_mode, option)


def _names_from(source: Any) -> tuple[str, ...] | None:
    """Take the names of legacy tensors from a module, a state dict or a list.

    Parameters
    ----------
    source : torch module, mapping, iterable of str, or None
        For a module its ``state_dict()`` in order, as Flower's examples send it.
    """
    if source is None:
        return None
    if callable(getattr(source, "state_dict", None)):
        source = source.state_dict()
    if isinstance(source, str) or not isinstance(source, Iterable):
        raise TypeError(
            "parameter_names takes a torch module, a state dict or a list of names, "
            f"not {source!r}"
        )
    return tuple(str(name) for name in source)


def _scheduler_from(every: Any) -> CheckpointScheduler:
    if isinstance(every, CheckpointScheduler):
        return every
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(
            "checkpoint_every is a number of rounds from 1 on, or a scheduler such as "
            f"EverySeconds(600) | OnImprovement('accuracy'), not {every!r}"
        )
    return EveryNRounds(every)


def _gates_from(gates: Any) -> tuple[PromotionGate, ...] | None:
    """Take one gate or several."""
    if gates is None:
        return None
    found = (gates,) if isinstance(gates, PromotionGate) else tuple(gates)
    for gate in found:
        if not isinstance(gate, PromotionGate):
            raise TypeError(
                f"promote takes gates such as MetricAtLeast('accuracy', 0.9), "
                f"not {gate!r}"
            )
    return found


def _resume_from(resume: Any) -> bool | str:
    """Take a truth value or a text, also as a run configuration writes it."""
    if isinstance(resume, str):
        return {"true": True, "false": False}.get(resume.lower(), resume)
    if not isinstance(resume, bool):
        raise TypeError(
            "resume is 'auto', True, False, or names a checkpoint like 'trial/12' or a "
            f"version like 'digits:1.4.0', not {resume!r}"
        )
    return resume


def _check_lease(seconds: Any) -> None:
    if not _is_duration(seconds):
        raise ValueError(
            "lease_seconds is how long a start that gives no sign of life keeps its "
            f"run: a number of seconds greater than 0, not {seconds!r}"
        )


def _is_duration(seconds: Any) -> bool:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return is_number and 0 < seconds < math.inf


def _check_timeout(seconds: Any) -> None:
    if not _is_duration(seconds):
        raise ValueError(
            "timeout_seconds is how long storage and database may take over one "
            f"operation: a number of seconds greater than 0, not {seconds!r}"
        )


def _check_choice(
    option: str, value: str | None, choices: tuple[str | None, ...]
) -> None:
    if value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise ValueError(f"{option} is one of {allowed}, not {value!r}")
