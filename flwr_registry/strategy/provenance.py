"""Where a run comes from: app, federation, strategy, configuration, versions."""

from __future__ import annotations

import platform
import re
import uuid
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flwr_registry.masking import recorded_settings
from flwr_registry.records import RunProvenance
from flwr_registry.registry import parse_reference
from flwr_registry.strategy.options import RegistryOptions
from flwr_registry.strategy.state.attributes import attributes_of
from flwr_registry.strategy.state.plain_state import is_strategy

__all__ = [
    "provenance_of",
    "strategy_chain_of",
    "strategy_config_of",
    "strategy_name_of",
]

_DEFAULT_MODEL = "default"


def provenance_of(
    strategy: Any, strategy_class: type, options: RegistryOptions, flwr_run: Any
) -> RunProvenance:
    """Describe a run that is about to start.

    Parameters
    ----------
    strategy : object
        The strategy, for its parameters.
    strategy_class : type
        Its own class, before wrapping.
    options : RegistryOptions
        For names and the app's run configuration.
    flwr_run : flwr Run or None
        What the grid knows of the run; None outside a Flower run.
    """
    app_id = str(getattr(flwr_run, "fab_id", "") or "")
    overrides = getattr(flwr_run, "override_config", None) or {}
    flwr_run_id = getattr(flwr_run, "run_id", None)
    return RunProvenance(
        name=options.run or f"run-{uuid.uuid4().hex[:12]}",
        model=options.model or _model_of(options.initial) or _model_named_after(app_id),
        flwr_run_id="" if flwr_run_id is None else str(flwr_run_id),
        app_id=app_id,
        app_version=str(getattr(flwr_run, "fab_version", "") or ""),
        app_hash=str(getattr(flwr_run, "fab_hash", "") or ""),
        federation=str(getattr(flwr_run, "federation_id", "") or ""),
        strategy=strategy_name_of(strategy_class),
        strategy_config=recorded_settings(
            strategy_config_of(strategy), options.record_config
        ),
        run_config=recorded_settings(
            {**overrides, **options.run_config}, options.record_config
        ),
        versions={
            "flwr": _version_of("flwr"),
            "flwr_registry": _version_of("flwr-registry"),
            "numpy": _version_of("numpy"),
            "python": platform.python_version(),
        },
    )


def strategy_name_of(strategy_class: type) -> str:
    """Qualified name of a strategy's class."""
    return f"{strategy_class.__module__}.{strategy_class.__qualname__}"


def strategy_chain_of(strategy: Any, strategy_class: type) -> str:
    """Qualified name of a strategy's class, with those it wraps in brackets."""
    inner = [
        strategy_chain_of(value, type(value))
        for value in attributes_of(strategy).values()
        if is_strategy(value)
    ]
    name = strategy_name_of(strategy_class)
    return f"{name}({', '.join(inner)})" if inner else name


def strategy_config_of(strategy: Any) -> dict[str, Any]:
    """Public parameters of a strategy that are numbers, text or functions' names."""
    config: dict[str, Any] = {}
    for name, value in attributes_of(strategy).items():
        if name.startswith("_"):
            continue
        if value is None or isinstance(value, bool | int | float | str):
            config[name] = value
        elif is_strategy(value):
            name_of_class = strategy_name_of(type(value))
            config[name] = {"class": name_of_class, **strategy_config_of(value)}
        elif callable(value):
            config[name] = getattr(value, "__qualname__", type(value).__name__)
    return config


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _model_of(reference: str | None) -> str | None:
    return None if reference is None else parse_reference(reference).model


def _model_named_after(app_id: str) -> str:
    """Take the app's own name out of ``publisher/name``, fit to name a model."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", app_id.rpartition("/")[2])
    name = re.sub(r"\.{2,}", ".", name).lstrip("._-")[:128]
    return name or _DEFAULT_MODEL
