"""What rounds did to the model."""

import numpy as np
import pytest

from flwr_registry.records import Contribution
from flwr_registry.validation import UpdateMeter
from flwr_registry.validation.update_drift import update_findings
from flwr_registry.weights import Weights


def model(*values, size=4):
    return Weights(
        {f"layer{n}": np.full(size, each, np.float32) for n, each in enumerate(values)}
    )


def test_norm_and_cosine_are_those_of_the_change():
    meter = UpdateMeter()
    assert meter.measure(None, model(1, 1), []) == {}
    first = meter.measure(model(1, 1), model(4, 5), [])
    assert first == {"update_norm": pytest.approx(10.0)}
    again = meter.measure(model(4, 5), model(7, 9), [])
    assert again["update_cosine"] == pytest.approx(1.0)
    back = meter.measure(model(7, 9), model(4, 5), [])
    assert back["update_cosine"] == pytest.approx(-1.0)


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_large_models_a_part_stands_for_the_whole(order):
    random = np.random.default_rng(1)
    shapes = {
        "large": (1000, 1024),
        "small": (3,),
        "middle": (517, 129),
        "none": (0, 4),
    }
    before, after = (
        {
            name: np.asarray(random.normal(size=shape), np.float32, order=order)
            for name, shape in shapes.items()
        }
        for _ in range(2)
    )
    whole = np.sqrt(sum(((after[n] - before[n]) ** 2).sum() for n in shapes))
    found = UpdateMeter().measure(Weights(before), Weights(after), [])
    assert found["update_norm"] == pytest.approx(whole, rel=0.02)


def test_shares_and_contributors_come_from_the_nodes():
    nodes = [Contribution("a", weight_share=0.75), Contribution("b", weight_share=0.25)]
    found = UpdateMeter().measure(None, model(1), [*nodes, Contribution("c")])
    assert found == {"num_contributors": 2.0, "largest_weight_share": 0.75}


def test_what_cannot_be_compared_is_left_out():
    other = Weights({"other": np.ones(4, np.float32)})
    text = Weights({"layer0": np.ones(4, np.uint8)}, opaque=True)
    for before in (other, model(1, size=5), text):
        assert UpdateMeter().measure(before, model(1), []) == {}
    broken = model(np.nan)
    assert UpdateMeter().measure(model(1), broken, []) == {}


def usual(rounds=10, **changes):
    found = {
        number: {
            "update_norm": 1.0 + 0.1 * (number % 3),
            "update_cosine": 0.3,
            "largest_weight_share": 0.3,
            "num_contributors": 4.0,
        }
        for number in range(1, rounds + 1)
    }
    for number, change in changes.items():
        found[int(number.removeprefix("round_"))] |= change
    return found


def test_usual_rounds_are_no_finding():
    assert update_findings(usual(40)) == []


@pytest.mark.parametrize(
    ("change", "subject", "text"),
    [
        ({"update_norm": 9.0}, "update_norm", "times as large as those before"),
        ({"largest_weight_share": 0.9}, "largest_weight_share", "one node has 90%"),
        (
            {"num_contributors": 1.0},
            "num_contributors",
            "1 nodes contributed, 4",
        ),
    ],
)
def test_an_unusual_round_is_found(change, subject, text):
    (finding,) = update_findings(usual(10, round_8=change))
    assert (finding.subject, finding.since) == (subject, "round 8")
    assert text in finding.message


def test_updates_that_undo_each_other_are_found():
    opposed = {f"round_{number}": {"update_cosine": -0.95} for number in (6, 7, 8)}
    (finding,) = update_findings(usual(10, **opposed))
    assert (finding.subject, finding.since) == ("update_cosine", "round 8")


def test_a_young_run_is_not_judged():
    assert update_findings(usual(5, round_3={"update_norm": 90.0})) == []
