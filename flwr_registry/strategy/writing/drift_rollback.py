"""Going back to the model from before a drift."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from flwr_registry.checkpointing import CheckpointContent, FinishedRound
from flwr_registry.errors import ResumeError
from flwr_registry.records import ModelVersion, RoundStatus
from flwr_registry.strategy.run_history import CurrentModel, RoundVersion
from flwr_registry.strategy.run_ledger import RunLedger
from flwr_registry.strategy.state.plain_state import StrategyState
from flwr_registry.strategy.strategy_port import StrategyPort
from flwr_registry.strategy.writing.run_checkpoints import RunCheckpoints
from flwr_registry.weights import NpyImages, load_npy_images

__all__ = ["EarlierModel", "RestoredModel", "go_back", "read_earlier"]


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


@dataclass(frozen=True, slots=True)
class EarlierModel:
    """An earlier model, as it is stored.

    Attributes
    ----------
    content : CheckpointContent or None
        Of the same round; None when the strategy needs none.
    """

    images: NpyImages
    version: ModelVersion
    content: CheckpointContent | None


def read_earlier(
    left: Set[int],
    rounds: Mapping[int, FinishedRound],
    ledger: RunLedger,
    checkpoints: RunCheckpoints,
    *,
    carries_arrays: bool,
) -> EarlierModel:
    """Read the last sound model that has no drift.

    Parameters
    ----------
    left : set of int
        Rounds that drift, those of earlier findings included.
    carries_arrays : bool
        The strategy carries arrays, such as a momentum, and needs those of the same
        round: only rounds with a checkpoint come into question.

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
    if carries_arrays:
        kept_rounds = checkpoints.rounds()
        sound = [number for number in sound if number in kept_rounds]
    if not sound:
        kept = "checkpoint" if carries_arrays else "version"
        raise ResumeError(
            f"no {kept} of a round without drift is there to go back to; "
            "checkpoint_every and keep_checkpoints say which are kept"
        )
    number = max(sound)
    finished = rounds[number]
    assert finished.weights is not None
    return EarlierModel(
        load_npy_images(ledger.storage, finished.weights),
        ledger.version(finished),
        checkpoints.content(number) if carries_arrays else None,
    )


def go_back(
    earlier: EarlierModel, port: StrategyPort, tensor_type: str
) -> RestoredModel:
    """Go back to an earlier model, and to the strategy's state of its round."""
    content = earlier.content
    if content is not None:
        port.go_back_to(StrategyState(content.state, dict(content.state_arrays)))
    given = port.model_of(earlier.images, tensor_type)
    buffers, weights = port.view(given, earlier.images)
    version = RoundVersion(earlier.version)
    return RestoredModel(CurrentModel(buffers, weights, version, tensor_type), given)
