"""The federation: the same twice, different by seed, and covering all of Flower."""

import inspect

import pytest
from flwr.server import strategy as legacy_stock
from flwr.server.server import Server
from flwr.serverapp import strategy as message_stock

from federation import outcome
from federation.catalogue import CATALOGUE, every_entry_some_slow, find
from federation.clients import NODE_IDS
from federation.entries import Entry
from federation.faults import Fault, FaultKind
from federation.outcome import Outcome, Play, play


@every_entry_some_slow
def test_seed_and_rounds_decide_the_outcome(entry: Entry) -> None:
    three = play(entry)
    assert three == play(entry)
    assert three.sent != play(entry, Play(seed=8)).sent
    # Guards against nodes that all fail, which would make any two runs equal.
    one = play(entry, Play(rounds=1))
    assert one.arrays != three.arrays
    assert len(three.sent) > len(one.sent)


@pytest.mark.slow
@pytest.mark.parametrize("api", ["message", "legacy"])
def test_the_catalogue_covers_every_class_that_flower_exports(api: str) -> None:
    stock = {"message": message_stock, "legacy": legacy_stock}[api]
    exported = {
        name
        for name in stock.__all__
        if issubclass(cls := getattr(stock, name), stock.Strategy)
        and not inspect.isabstract(cls)
    }
    assert exported
    built = {
        type(entry.make().strategy).__name__ for entry in CATALOGUE if entry.api == api
    }
    assert exported - built == set()


@pytest.mark.parametrize("api", ["message", "legacy"])
@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_changes_the_run_from_its_round_on(api: str, kind: FaultKind) -> None:
    entry = find(f"{api}-FedAvg")
    faulty = play(entry, Play(faults=[Fault(2, NODE_IDS[1], kind)]))
    sound = play(entry)
    assert faulty.arrays != sound.arrays
    assert faulty.sent[: len(NODE_IDS)] == sound.sent[: len(NODE_IDS)]


@pytest.mark.parametrize("api", ["message", "legacy"])
def test_the_order_of_arrival_matters_to_an_average_of_floats(api: str) -> None:
    entry = find(f"{api}-FedAvg")
    assert play(entry, Play(arrival_seed=1)) != play(entry)
    assert play(entry, Play(arrival_seed=1)) == play(entry, Play(arrival_seed=1))


def test_flowers_own_server_gives_the_same_where_order_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ordered server differs from Flower's in the order of collection alone."""
    entry = find("legacy-FedMedian")
    ordered = play(entry)

    def stock_server(*, arrival_seed: int | None, **parts: object) -> Server:
        server = Server(**parts)  # type: ignore[arg-type]
        server.set_max_workers(1)
        return server

    monkeypatch.setattr(outcome, "OrderedServer", stock_server)
    stock = play(entry)
    assert _without_means(stock) == _without_means(ordered)


def _without_means(result: Outcome) -> tuple[object, ...]:
    """Drop the history: its means of floats depend on the order of collection."""
    return result.sent, result.arrays, result.random_state, result.strategy_state
