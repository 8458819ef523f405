"""When a checkpoint is due."""

import pytest

from flwr_registry.checkpointing import EveryNRounds


def test_every_n_rounds():
    assert [each for each in range(1, 8) if EveryNRounds(3).due(each)] == [3, 6]
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="give 1 or more"):
            EveryNRounds(wrong)
