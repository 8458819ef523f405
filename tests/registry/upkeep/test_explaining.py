"""Why each version keeps its bytes, or loses them."""

from registry.samples import facts_of

from flwr_registry.records import Fate
from flwr_registry.retention import BestN, EveryNth, LatestN


def told(registry, policy=None, **how):
    return {
        each.reference.partition(":")[2]: (each.fate, each.reasons)
        for each in registry.explain_gc(policy, **how)
    }


def test_each_version_tells_why_it_stays_or_goes(registry, add, start, sql):
    run = start("trial")
    for n in range(8):
        facts = facts_of(n + 1, accuracy=n / 10)
        add(n, run=run, facts=facts, errors=["broken"] if n == 6 else [])
    registry.promote("digits:1.1.0")
    registry.promote("digits:1.2.0")
    registry.rollback("digits")
    registry.set_alias("digits", "trial", "1.3.0")
    registry.pin("digits:1.3.0")
    policy = LatestN(2) | BestN(1, "accuracy") | EveryNth(6)
    found = told(registry, policy)
    assert list(found) == [f"1.{n}.0" for n in reversed(range(8))]
    assert found == {
        "1.7.0": (
            Fate.STAYS,
            (
                "it is the newest sound version of its model",
                "it is the newest sound version of run trial",
                "the policy keeps the newest 2",
                "the policy keeps the best by accuracy (highest)",
            ),
        ),
        "1.6.0": (
            Fate.GOES,
            (
                "it failed validation, so it takes no place among the newest or the "
                "best",
                f"the policy keeps only {policy}",
            ),
        ),
        "1.5.0": (
            Fate.STAYS,
            (
                "the policy keeps the newest 2",
                "the policy keeps those of every 6 rounds",
            ),
        ),
        "1.4.0": (Fate.GOES, (f"the policy keeps only {policy}",)),
        "1.3.0": (Fate.STAYS, ("it is pinned", "it is digits@trial")),
        "1.2.0": (Fate.STAYS, ("it was in production",)),
        "1.1.0": (Fate.STAYS, ("it is in production",)),
        "1.0.0": (Fate.STAYS, ("it is a root",)),
    }
    going = [name for name, (fate, _) in found.items() if fate is Fate.GOES]
    done = registry.gc(policy)
    assert [f"digits:{name}" for name in reversed(going)] == [
        each.reference for each in done.versions
    ]
    after = told(registry, policy)
    assert {name for name, (fate, _) in after.items() if fate is Fate.GONE} == {*going}
    assert "removed on" in after["1.4.0"][1][0]


def test_without_a_policy_all_stay(registry, add):
    add(1)
    add(2, parent="1.0.0")
    add(3, parent="1.0.0")
    registry.register({"w": [1.0]}, model="cats")
    assert told(registry, model="digits")["1.1.0"] == (
        Fate.STAYS,
        ("no policy is given",),
    )
    assert len(registry.explain_gc()) == 4
