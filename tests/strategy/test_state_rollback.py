"""Flower's own strategies only ever bind new arrays; the rollback relies on it."""

import pytest
from federation.catalogue import CATALOGUE
from federation.clients import NODE_IDS
from federation.faults import Fault, FaultKind
from federation.outcome import Play, play

from flwr_registry import RegistryStrategy
from flwr_registry.strategy import strategy_state

# The legacy Bulyan looks models up by equality, and so raises by itself at a NaN.
STOCK = [
    entry
    for entry in CATALOGUE
    if "Xgb" not in entry.name
    and str(entry) != "legacy-Bulyan"
    and type(entry.make().strategy).__module__.startswith("flwr.")
]


@pytest.mark.slow
@pytest.mark.parametrize("entry", STOCK, ids=str)
def test_keeping_arrays_by_reference_is_as_good_as_copying_them(
    entry, tmp_path, monkeypatch
):
    def rejecting(folder, small_bytes):
        monkeypatch.setattr(strategy_state, "_SMALL_BYTES", small_bytes)
        wrap = lambda strategy: RegistryStrategy(  # noqa: E731
            strategy, registry=tmp_path / folder / "registry.db", on_error="raise"
        )
        faults = [Fault(2, NODE_IDS[0], FaultKind.NAN)]
        return play(entry, Play(rounds=4, wrap=wrap, faults=faults))

    assert rejecting("referenced", -1) == rejecting("copied", 2**60)
