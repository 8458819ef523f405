"""Sound models that do not look like the initial one: trained, registered, resumed."""

import itertools

import pytest
from federation.outcome import Play, play
from federation.reshaping import ANY_LOSS, RESHAPING, entry_of
from strategy.test_resume import line

from flwr_registry import ModelRegistry, RegistryStrategy

ROUNDS = 4


WAYS = {
    "message": ("message", False),
    "legacy": ("legacy", False),
    "legacy-asking": ("legacy", True),
}
# The rest is slow.
QUICK = {
    "message-doubled",
    "message-FedAdam",
    "legacy-with_control",
    "legacy-asking-QFedAvg",
}


def entries():
    """Each case in one of three ways; together they take all ways."""
    ways = itertools.cycle(WAYS)
    for case in RESHAPING:
        rotated = next(ways)
        for way, (api, asks_a_node) in WAYS.items():
            name = f"{way}-{case}"
            # FedAdam insists on initial parameters.
            if (way == rotated and case.name != "FedAdam") or name in QUICK:
                entry = entry_of(case, api, asks_a_node=asks_a_node)
                marks = () if name in QUICK else (pytest.mark.slow,)
                yield pytest.param(case, entry, id=name, marks=marks)


each_entry = pytest.mark.parametrize(("case", "entry"), list(entries()))


def recorded(entry, folder, rounds=ROUNDS, **options):
    def wrap(strategy):
        given = {"run": "trial", "model": "digits", "on_error": "raise"}
        given = {**given, "validator": ANY_LOSS, **options}
        return RegistryStrategy(strategy, registry=folder / "registry.db", **given)

    return play(entry, Play(rounds=rounds, wrap=wrap))


def versions(folder, **how):
    with ModelRegistry(folder / "registry.db") as registry:
        return [
            (each.version, each.status.value)
            for each in registry.list("digits", **how)[::-1]
        ]


@pytest.mark.slow
@each_entry
def test_a_sound_model_of_another_form_is_a_version_and_its_run_goes_on_exactly(
    case, entry, tmp_path
):
    bare = play(entry, Play(rounds=ROUNDS))
    whole = recorded(entry, tmp_path / "whole")
    assert whole == bare
    found = versions(tmp_path / "whole")
    assert found == [(each, "candidate") for each in case.versions]
    parts = tmp_path / "parts"
    recorded(entry, parts, rounds=2)
    resumed = recorded(entry, parts, resume=True)
    assert (resumed.arrays, resumed.metrics) == (bare.arrays, bare.metrics)
    assert resumed.strategy_state == bare.strategy_state
    assert line(parts) == line(tmp_path / "whole")
    assert versions(parts) == found
