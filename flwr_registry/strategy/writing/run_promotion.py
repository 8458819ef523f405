"""What a run does to production and to the alias of the best version."""

from __future__ import annotations

from collections.abc import Sequence, Set

from flwr_registry.errors import (
    InvalidStateError,
    NoProductionModelError,
    PromotionRefusedError,
)
from flwr_registry.metric_direction import Direction
from flwr_registry.records import ModelVersion, RunProvenance
from flwr_registry.registry import (
    BEST,
    ModelRegistry,
    PromotionGate,
)
from flwr_registry.strategy.round_log import log_best

__all__ = ["note_best", "promote", "take_out_of_production"]

_ACTOR = "RegistryStrategy"


def note_best(
    registry: ModelRegistry, model: str, metric: str, mode: Direction | None
) -> None:
    """Let the alias ``best`` name the best version that is left by the run's metric."""
    before = registry.aliases(model).get(BEST)
    best = registry.name_best(model, metric, mode=mode, actor=_ACTOR)
    if best is not None and best.version != before:
        log_best(best, metric)


def promote(
    registry: ModelRegistry, version: ModelVersion, gates: Sequence[PromotionGate]
) -> tuple[str, ...]:
    """Put a version into production if it passes the user's gates.

    Returns
    -------
    tuple of str
        The gates that it did not pass, or what else speaks against it; empty when it is
        in production now.
    """
    try:
        registry.promote(
            version.reference,
            gates=gates,
            reason=f"round {version.server_round} of run {version.run_name}",
            actor=_ACTOR,
        )
    except PromotionRefusedError as error:
        return error.refusals
    except InvalidStateError as error:
        # A round that was trained again may be a version that was rolled back from.
        return (str(error),)
    return ()


def take_out_of_production(
    registry: ModelRegistry, run: RunProvenance, left: Set[int]
) -> ModelVersion | None:
    """Roll production back while it is a version of one of these rounds.

    Returns
    -------
    ModelVersion or None
        What is in production now, None when nothing was changed.

    Raises
    ------
    RollbackError
        When nothing was in production before.
    """
    changed = None
    while True:
        try:
            served = changed or registry.get(f"{run.model}@production")
        except NoProductionModelError:
            return changed
        is_ours = served.run_name == run.name
        if not is_ours or served.server_round not in left:
            return changed
        reason = f"drift in run {run.name}"
        changed = registry.rollback(run.model, reason=reason, actor=_ACTOR)
