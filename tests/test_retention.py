"""Policies that say what is kept."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flwr_registry
from flwr_registry.retention import (
    AnyOf,
    BestN,
    EveryNth,
    KeepAll,
    Kept,
    LatestN,
    RetentionPolicy,
    YoungerThan,
    kept_by,
    removed_by,
)

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)

values = st.floats(allow_nan=True) | st.integers(-3, 3).map(float)
kept = st.builds(
    Kept,
    order=st.integers(1, 10**6),
    server_round=st.none() | st.integers(1, 50),
    created_at=st.none() | st.integers(0, 60).map(lambda days: NOW - days * DAY),
    metrics=st.dictionaries(st.sampled_from(["loss", "accuracy"]), values),
    pinned=st.booleans(),
    sound=st.booleans(),
)
items_strategy = st.lists(kept, unique_by=lambda item: item.order, max_size=20)
counts = st.integers(1, 25)
simple = st.one_of(
    st.just(KeepAll()),
    counts.map(LatestN),
    st.builds(BestN, counts, st.just("loss"), st.sampled_from(["min", "max"])),
    counts.map(EveryNth),
    st.integers(1, 60).map(lambda days: YoungerThan(days * DAY)),
)


def items(*facts):
    return [Kept(order, **fact) for order, fact in enumerate(facts, 1)]


@given(simple, items_strategy, st.randoms())
def test_the_order_of_the_items_does_not_matter(policy, given, random):
    shuffled = random.sample(given, len(given))
    assert policy.kept(shuffled, NOW) == policy.kept(given, NOW)


@given(simple, items_strategy)
def test_what_was_kept_once_is_kept_again(policy, given):
    first = policy.kept(given, NOW)
    stayed = [item for item in given if item.order in first]
    assert policy.kept(stayed, NOW) == first


@given(simple, simple, items_strategy)
def test_joined_policies_keep_what_any_of_them_keeps(one, other, given):
    both = one.kept(given, NOW) | other.kept(given, NOW)
    assert (one | other).kept(given, NOW) == both
    assert AnyOf(one, other, one).kept(given, NOW) == both
    assert ((one | other) | one).kept(given, NOW) == both


@given(simple, items_strategy)
def test_removed_is_what_is_neither_kept_nor_pinned(policy, given):
    gone = {item.order for item in removed_by(policy, given, NOW)}
    pinned = {item.order for item in given if item.pinned}
    stays = policy.kept(given, NOW) | pinned
    assert gone | stays == {item.order for item in given}
    assert not gone & stays


@given(simple, simple, simple, items_strategy)
def test_the_parts_of_a_policy_tell_why_something_stays(one, other, third, given):
    joined = (one | other) | third
    why = kept_by(joined, given, NOW)
    assert why.keys() == joined.kept(given, NOW)
    for order, parts in why.items():
        assert set(parts) == {
            part for part in (one, other, third) if order in part.kept(given, NOW)
        }
        assert len(set(parts)) == len(parts)
        assert all(str(part) in str(joined) for part in parts)
    assert kept_by(one, given, NOW).keys() == one.kept(given, NOW)


@given(counts, st.sampled_from(["min", "max"]), items_strategy)
def test_what_is_not_sound_takes_no_place(n, mode, given):
    sound = [item for item in given if item.sound]
    for policy in (LatestN(n), BestN(n, "loss", mode)):
        assert policy.kept(given, NOW) == policy.kept(sound, NOW)


def test_a_policy_of_ones_own_tells_by_its_own_text():
    class Odd:
        def kept(self, items, now):
            return frozenset(item.order for item in items if item.order % 2)

        def __str__(self):
            return "the odd ones"

    odd = Odd()
    why = kept_by(AnyOf(odd, LatestN(1)), items({}, {}, {}, {}), NOW)
    assert why == {1: (odd,), 3: (odd,), 4: (LatestN(1),)}
    assert str(AnyOf(odd, LatestN(2))) == "the odd ones, the newest 2"


def test_policies_tell_what_they_keep():
    joined = BestN(2, "loss") | EveryNth(5) | YoungerThan(30 * DAY) | KeepAll()
    assert str(joined) == (
        "the best 2 by loss (lowest), those of every 5 rounds, "
        "what is younger than 30 days, everything"
    )
    assert str(BestN(1, "accuracy")) == "the best by accuracy (highest)"
    assert str(EveryNth(1)) == "each round"


@given(counts, items_strategy)
def test_the_latest_are_the_newest(n, given):
    orders = sorted(item.order for item in given if item.sound)
    assert LatestN(n).kept(given, NOW) == set(orders[-n:])


@given(counts, st.sampled_from(["min", "max"]), items_strategy)
def test_none_that_goes_is_better_than_one_of_the_best(n, mode, given):
    best = BestN(n, "loss", mode).kept(given, NOW)
    measured = {
        item.order: item.metrics["loss"]
        for item in given
        if item.sound and math.isfinite(item.metrics.get("loss", math.nan))
    }
    assert best <= measured.keys()
    assert len(best) == min(n, len(measured))
    for order, value in measured.items():
        for chosen in best:
            if order not in best and mode == "min":
                assert measured[chosen] <= value
            elif order not in best:
                assert measured[chosen] >= value


def test_of_equal_ones_the_newer_is_better():
    equal = items(*3 * [{"metrics": {"loss": 1.0}}])
    assert BestN(2, "loss").kept(equal, NOW) == {2, 3}
    assert BestN(2, "loss", "max").kept(equal, NOW) == {2, 3}


def test_every_nth_counts_rounds_and_else_the_order():
    given = [Kept(1, 4), Kept(2, 5), Kept(3), Kept(4), Kept(6, 6)]
    assert EveryNth(2).kept(given, NOW) == {1, 4, 6}


def test_young_is_less_than_the_age():
    given = items(
        {"created_at": NOW - DAY}, {"created_at": NOW - DAY + timedelta(seconds=1)}, {}
    )
    assert YoungerThan(DAY).kept(given, NOW) == {2, 3}


@pytest.mark.parametrize(
    "make",
    [
        lambda: LatestN(0),
        lambda: LatestN(True),
        lambda: BestN(-1, "loss"),
        lambda: BestN(1, ""),
        lambda: BestN(1, "loss", "best"),
        lambda: EveryNth(0),
        lambda: YoungerThan(timedelta(0)),
        lambda: AnyOf(),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_only_policies_are_joined():
    with pytest.raises(TypeError):
        LatestN(1) | 3
    with pytest.raises(TypeError, match="no retention policy"):
        AnyOf(LatestN(1), 3)


def test_policies_are_values():
    assert LatestN(2) | EveryNth(3) == AnyOf(LatestN(2), EveryNth(3))
    assert hash(BestN(1, "loss")) == hash(BestN(1, "loss", "min"))
    assert all(isinstance(each, RetentionPolicy) for each in (KeepAll(), LatestN(1)))


def test_policies_are_public():
    for name in ("AnyOf", "BestN", "EveryNth", "KeepAll", "LatestN", "YoungerThan"):
        place = getattr(flwr_registry, name)
        assert place.__module__ == "flwr_registry.retention"
        assert name in flwr_registry.__all__
