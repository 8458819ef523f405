"""Going back to the model from before a drift."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from flwr_registry.checkpointing import FinishedRound
from flwr_registry.errors import ResumeError
from flwr_registry.records import RoundStatus
from flwr_registry.strategy.run_checkpoints import RunCheckpoints
from flwr_registry.strategy.run_history import CurrentModel, RoundVersion
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.strategy_state import StrategyState
from flwr_registry.weights import load_npy_images

__all__ = ["RestoredModel", "go_back"]


@dataclass(frozen=True, slots=True)
class RestoredModel:
    """An earlier model, to be trained on from.

    Attributes
    ----------
    model : CurrentModel
        As the recorder knows it.
    given : object
        As Flower knows it.
    """

    model: CurrentModel
    given: Any


def go_back(
    left: Set[int],
    rounds: Mapping[int, FinishedRound],
    ledger: RunLedger,
    checkpoints: RunCheckpoints,
    port: StrategyPort,
    tensor_type: str,
) -> RestoredModel:
    """Load the last sound model that has no drift, and the strategy's state with it.

    A strategy that carries arrays, such as a momentum, gets those of the same round, so
    only rounds with a checkpoint come into question for it.

    Parameters
    ----------
    left : set of int
        Rounds that drift, those of earlier findings included.

    Raises
    ------
    ResumeError
        When there is none to go back to.
    """
    sound = [
        number
        for number, finished in rounds.items()
        if number not in left
        and finished.status is RoundStatus.REGISTERED
        and finished.weights is not None
    ]
    carries_arrays = bool(port.export_state().arrays)
    if carries_arrays:
        sound = [number for number in sound if number in checkpoints.rounds()]
    if not sound:
        kept = "checkpoint" if carries_arrays else "version"
        raise ResumeError(
            f"no {kept} of a round without drift is there to go back to; "
            "checkpoint_every and keep_checkpoints say which are kept"
        )
    number = max(sound)
    finished = rounds[number]
    assert finished.weights is not None
    images = load_npy_images(ledger.storage, finished.weights)
    if carries_arrays:
        content = checkpoints.content(number)
        port.take_up(StrategyState(content.state, dict(content.state_arrays)))
    given = port.model_of(images, tensor_type)
    buffers, weights = port.view(given, images)
    version = RoundVersion(ledger.version(finished))
    return RestoredModel(CurrentModel(buffers, weights, version, tensor_type), given)
