"""When a checkpoint is due."""

import pytest

from flwr_registry.checkpointing import (
    AnyDue,
    EveryNRounds,
    EverySeconds,
    OnImprovement,
    RoundEnd,
)


def test_every_n_rounds():
    due = [each for each in range(1, 8) if EveryNRounds(3).due(RoundEnd(each))]
    assert due == [3, 6]
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="give 1 or more"):
            EveryNRounds(wrong)


def test_every_so_many_seconds():
    assert not EverySeconds(60).due(RoundEnd(1, 59.9))
    assert EverySeconds(60).due(RoundEnd(1, 60.0))
    with pytest.raises(ValueError, match="0 or more"):
        EverySeconds(float("nan"))


@pytest.mark.parametrize(("mode", "expected"), [("max", [1, 2, 5]), ("min", [1, 3, 6])])
def test_on_improvement(mode, expected):
    values = {1: 0.5, 2: 0.6, 3: 0.4, 5: 0.7, 6: 0.1, 7: 0.7}
    due = []
    for end in range(1, 8):
        known = {r: {"accuracy": v} for r, v in values.items() if r <= end}
        if OnImprovement("accuracy", mode).due(RoundEnd(end, metrics=known)):
            due.append(end)
    assert due == expected


def test_a_tie_is_no_improvement_and_a_mode_is_one_of_two():
    known = {1: {"loss": 1.0}, 2: {"loss": 1.0}}
    assert not OnImprovement("loss", "min").due(RoundEnd(2, metrics=known))
    with pytest.raises(ValueError, match="'max' or 'min'"):
        OnImprovement("loss", "lowest")


def test_any_of_several():
    joined = EveryNRounds(5) | EverySeconds(60) | OnImprovement("accuracy")
    assert joined.due(RoundEnd(5)) and joined.due(RoundEnd(1, 61.0))
    assert joined.due(RoundEnd(1, metrics={1: {"accuracy": 0.1}}))
    assert not joined.due(RoundEnd(1))
    assert joined.metric_names() == {"accuracy"}
    with pytest.raises(ValueError, match="needs a scheduler"):
        AnyDue()
    with pytest.raises(TypeError):
        AnyDue(3)
